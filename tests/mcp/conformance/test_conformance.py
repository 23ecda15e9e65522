"""Referees that are not ours: the conformance suite, the inspector, a scanner, as npm and PyPI have them."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from conftest import ROOT
from mcp import Client
from mcp_processes import LOOPBACK, poll_until, served
from referees import installed, npx

from memorag_core import MemoRAG, Settings
from memorag_mcp.commands.options import engine_flags
from memorag_mcp.server import build_server

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
SCANNER = ["cisco-ai-mcp-scanner>=4,<5"]
REGISTRY = ["skillsaw>=0.22,<1", "jsonschema>=4"]
BUNDLER = "@anthropic-ai/mcpb@2.1.2"
CONFORMANCE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
INSPECTOR = "@modelcontextprotocol/inspector@2.12.0"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Our server with the suite's fixtures."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, str(HERE / "serve.py"), str(tmp_path_factory.mktemp("store")), str(port)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL) as server:
        try:
            poll_until(port, server)
            yield f"http://localhost:{port}/mcp"
        finally:
            server.terminate()


@pytest.mark.parametrize(
    ("what", "least"),
    [(("--requirements", "2025-11-25"), 84), (("--requirements", "2026-07-28"), 195), (("--suite", "all"), 233)],
)
def test_every_scenario_of_the_conformance_suite_passes(
    url: str, what: tuple[str, str], least: int, tmp_path: Path
) -> None:
    said = npx(CONFORMANCE, "server", "--url", url, *what, "-o", str(tmp_path))
    total = re.search(r"Total: (\d+) passed, (\d+) failed", said)
    assert total is not None, said
    sys.stdout.write(f"\nconformance {what[1]}: {total[0]}\n")
    assert int(total[1]) >= least
    assert (total[2], "✗" in said) == ("0", False)


def test_the_inspector_finds_nothing_over_stdio(settings: Settings) -> None:
    command = [sys.executable, "-m", "memorag_mcp.cli", "serve", *engine_flags(settings)]
    program = settings.store.parent / "server.sh"  # the inspector takes options as its own
    program.write_text(f'#!/bin/sh\nexec "{command[0]}" {" ".join(command[1:])}\n', encoding="utf-8")
    program.chmod(0o755)
    inspected(str(program))


@pytest.mark.parametrize(("transport", "path"), [("http", "/mcp"), ("sse", "/sse")])
def test_the_inspector_finds_nothing_over_the_network(settings: Settings, transport: str, path: str) -> None:
    with served(settings, transport) as port:
        inspected(f"http://{LOOPBACK}:{port}{path}", "--transport", transport)


def inspected(*target: str) -> None:
    said = npx(INSPECTOR, "--cli", *target, "--method", "tools/list", "--strict", "--format", "json", "-q")
    assert "memorize_context" in said
    for method in ("resources/list", "resources/templates/list", "prompts/list"):
        npx(INSPECTOR, "--cli", *target, "--method", method, "--format", "json", "-q")


def test_the_scanner_finds_nothing(settings: Settings) -> None:
    scanner = str(installed("scanner", SCANNER) / "mcp-scanner")
    server = ["--stdio-command", sys.executable, "--stdio-args=-m,memorag_mcp.cli,serve"]
    environment = [f"--stdio-env={name}" for name in (f"PYTHONPATH={ROOT}", f"MEMORAG_STORE={settings.store}")]
    command = [scanner, "--analyzers", "yara", "--format", "summary", "stdio", *server, *environment]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Unsafe items: 0" in run.stdout, run.stdout + run.stderr
    assert f"Safe items: {anyio.run(count_tools, settings)}" in run.stdout


async def count_tools(settings: Settings) -> int:
    """How many tools a client without pages, as the scanner is one, is told of."""
    async with Client(build_server(MemoRAG(settings))) as client:
        return len((await client.list_tools()).tools)


def test_the_bundle_is_valid_and_can_be_packed(tmp_path: Path) -> None:
    code = "import bundle, pathlib, sys; bundle.stage(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, cwd=ROOT / "packaging")
    assert "validation passes" in npx(BUNDLER, "validate", str(tmp_path / "manifest.json"))
    packed = tmp_path.with_suffix(".mcpb")
    npx(BUNDLER, "pack", str(tmp_path), str(packed))
    with zipfile.ZipFile(packed) as archive:
        names = set(archive.namelist())
    assert names >= {"manifest.json", "pyproject.toml", "memorag_mcp/cli.py", "contexts/samples/harrow-sound.md"}


def test_the_entry_for_the_registry_matches_its_schema() -> None:
    """The published schema of 2025-12-11, as a linter on PyPI carries it."""
    code = (
        "import json, pathlib, skillsaw, sys; from jsonschema import Draft7Validator as Validator\n"
        "schemas = pathlib.Path(skillsaw.__file__).parent / 'schemas' / 'mcp_registry'\n"
        "schema = json.loads((schemas / 'v2025_12_11' / 'server.schema.json').read_text())\n"
        "entry = json.loads(pathlib.Path(sys.argv[1]).read_text())\n"
        "assert entry['$schema'] == schema['$id']\n"
        "Validator(schema).validate(entry)\n"
    )
    python = installed("registry", REGISTRY) / "python"
    subprocess.run([python, "-c", code, ROOT / "packaging" / "server.json"], check=True)
