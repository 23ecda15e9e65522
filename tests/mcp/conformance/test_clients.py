"""Clients that are not of our SDK: Python before 2.0, and TypeScript of both generations, over every transport."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, STORY
from mcp_processes import LOOPBACK, TOOLS, command, served
from referees import installed, node

from memorag_core import Settings

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
PYTHON = ["mcp>=1.30,<2"]
TYPESCRIPT = ["@modelcontextprotocol/sdk@1.32.2", "@modelcontextprotocol/client@2.4.0"]
TRANSPORTS = ["stdio", "http", "sse"]


@contextmanager
def target(settings: Settings, transport: str) -> Iterator[str]:
    """What a client connects to: a URL, or the command of a server, as JSON."""
    if transport == "stdio":
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        yield json.dumps({"command": sys.executable, "args": command(settings), "env": environment})
        return
    with served(settings, transport) as port:
        yield f"http://{LOOPBACK}:{port}/{'sse' if transport == 'sse' else 'mcp'}"


def judge(said: str, modern: bool) -> None:
    """What a client saw of the whole job."""
    seen: dict[str, Any] = json.loads(said.splitlines()[-1])
    assert set(seen["tools"]) == TOOLS
    assert (seen["modern"], seen["empty"], seen["left"], seen["cancelled"]) == (modern, [], [], "cancelled")
    assert seen["progress"] == sorted(seen["progress"])
    assert seen["progress"][-1] == 1.0
    assert (seen["context"], seen["completed"], seen["read"]) == ("mill", ["mill"], STORY)
    assert seen["answer"]["citations"]
    assert all(STORY[c["start"] : c["end"]] == c["quote"] for c in seen["answer"]["citations"])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_python_client_before_2_does_the_whole_job(settings: Settings, transport: str) -> None:
    python = str(installed("python-v1", PYTHON) / "python")
    with target(settings, transport) as where:
        program = [python, str(HERE / "client_v1.py"), transport, where, STORY]
        run = subprocess.run(program, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-5000:]
    judge(run.stdout, modern=False)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("version", "mode"), [("v1", "legacy"), ("v2", "legacy"), ("v2", "auto")])
def test_a_typescript_client_does_the_whole_job(settings: Settings, version: str, mode: str, transport: str) -> None:
    with target(settings, transport) as where:
        said = node(TYPESCRIPT, HERE / "client.mjs", version, mode, transport, where, STORY)
    judge(said, modern=mode == "auto")
