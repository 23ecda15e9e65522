"""What people install by: the documented configurations, the bundle's manifest, the registry's entry, the wheel."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import ROOT
from typer.testing import CliRunner

from memorag_core import MemoRAG
from memorag_core.config import PROFILES
from memorag_mcp.cli import app
from memorag_mcp.commands import demo
from memorag_mcp.protocol.apps import FOR_PAGE_ALONE
from memorag_mcp.server import build_server

CLIENTS = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MANIFEST = json.loads((ROOT / "packaging" / "manifest.json").read_text(encoding="utf-8"))
SERVER = json.loads((ROOT / "packaging" / "server.json").read_text(encoding="utf-8"))


def documented() -> list[list[str]]:
    """The arguments of `memorag-mcp` in every configuration of docs/clients.md and in the bundle."""
    written = [json.loads(found) for found in re.findall(r"\[\"--from\".*?\]", CLIENTS.replace("[cpu]", "(cpu)"))]
    return [arguments[3:] for arguments in written] + [MANIFEST["server"]["mcp_config"]["args"][6:]]


@pytest.mark.parametrize("arguments", documented(), ids=str)
def test_the_documented_arguments_are_those_of_the_server(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stub, called = ModuleType("memorag_mcp.server"), list[Any]()
    vars(stub)["run"] = lambda *given, **more: called.append((given, more))
    monkeypatch.setitem(sys.modules, "memorag_mcp.server", stub)
    result = CliRunner().invoke(app, ["serve", *arguments])
    assert (result.exit_code, len(called)) == (0, 1)
    assert called[0][1]["allow"] == [Path(arguments[-1])]


def test_all_that_documents_show_as_json_is_json() -> None:
    blocks = re.findall(r"```json\n(.*?)```", CLIENTS, re.DOTALL)
    assert len(blocks) == 4
    assert all({"mcpServers", "servers"} & json.loads(block).keys() for block in blocks)


def test_versions_and_names_agree() -> None:
    [package] = SERVER["packages"]
    versions = {PROJECT["version"], MANIFEST["version"], SERVER["version"], package["version"]}
    assert versions == {PROJECT["version"]}
    assert package["identifier"] == MANIFEST["name"] == PROJECT["name"]
    assert f"<!-- mcp-name: {SERVER['name']} -->" in (ROOT / PROJECT["readme"]).read_text(encoding="utf-8")
    assert package["runtimeArguments"][0]["value"] == f"{PROJECT['name']}[cpu]=={PROJECT['version']}"
    assert PROJECT["name"] in PROJECT["scripts"]
    assert package["environmentVariables"][1]["choices"] == ["auto", *PROFILES]
    assert len(SERVER["description"]) <= 100
    assert MANIFEST["compatibility"]["runtimes"]["python"] == PROJECT["requires-python"]


@pytest.mark.anyio
async def test_the_bundle_names_the_tools_that_there_are(engine: MemoRAG) -> None:
    tools = [tool for tool in await build_server(engine).list_tools() if tool.meta != FOR_PAGE_ALONE]
    assert [tool["name"] for tool in MANIFEST["tools"]] == [tool.name for tool in tools]


def test_the_demo_finds_its_sample_in_a_checkout_and_in_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert demo.sample_path() == ROOT / "contexts" / "samples" / demo.SAMPLE
    assert demo.sample_path().is_file()
    monkeypatch.setattr(demo, "__file__", str(tmp_path / "memorag_mcp" / "commands" / "demo.py"))
    assert demo.sample_path() == tmp_path / "memorag_mcp" / "samples" / demo.SAMPLE


@pytest.mark.slow
def test_the_wheel_has_entry_points_types_and_the_sample(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entries = next(name for name in names if name.endswith("entry_points.txt"))
        assert "memorag-mcp = memorag_mcp.__main__:main" in archive.read(entries).decode()
    assert names >= {"memorag_mcp/samples/harrow-sound.md", "memorag_core/py.typed", "memorag_mcp/py.typed"}
