"""Hosts as they start processes: one server serves them all, each within its own folders, and dies without harm."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from conftest import STORY
from mcp import Client, MCPError, StdioServerParameters
from mcp_processes import HELLO, Era, jobs_folder, ok, recorded, whole_answer
from waits import SECONDS, wait_until

from memorag_core import Settings
from memorag_mcp.attach.files import Address, ServerFiles
from memorag_mcp.commands.options import engine_flags

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="folders are found by a variable of POSIX"),
]
QUESTION = "When were the gates hung?"


@pytest.fixture(autouse=True)
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder where this test's hosts find servers, none of which outlives it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MEMORAG_LINGER", "30")
    folder = tmp_path / "state" / "memorag" / "servers"
    yield folder
    for server in alive(folder):
        server.kill()
        server.wait(SECONDS)


def alive(folder: Path) -> list[psutil.Process]:
    """The servers whose address is told there."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(part.startswith(str(folder)) for part in process.info["cmdline"] or ())
    ]


def address(folder: Path) -> Address:
    [file] = folder.glob("*.json")
    return ServerFiles.at(file).read()


def starting(settings: Settings, *more: str) -> list[str]:
    return ["-m", "memorag_mcp", *engine_flags(settings), *more]


def host(settings: Settings, era: Era = "auto", allow: Path | None = None) -> Client:
    """A host that starts `memorag-mcp`."""
    arguments = starting(settings, *(["--allow", str(allow)] if allow else []))
    return Client(StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ)), mode=era)


async def test_hosts_share_a_server_and_each_reads_within_its_own_folders(
    settings: Settings, tmp_path: Path, servers: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mill.md").write_text(f"{STORY} Told by {name}.", encoding="utf-8")
    async with host(settings, "auto", tmp_path / "a") as one, host(settings, "legacy", tmp_path / "b") as other:
        for client, own, others in ((one, "a", "b"), (other, "b", "a")):
            assert str(tmp_path / own) in str(client.instructions)
            assert str(tmp_path / others) not in str(client.instructions)
            refused = await client.call_tool("memorize_context", {"path": str(tmp_path / others / "mill.md")})
            assert "outside the folders" in str(refused.content)
            await ok(client, "memorize_context", path="mill.md", name=own)
        for client in (one, other):
            for name in ("a", "b"):
                await whole_answer(client, name, QUESTION, f"{STORY} Told by {name}.")
        assert [process.pid for process in alive(servers)] == [address(servers).pid]


async def test_a_server_that_is_killed_while_it_memorizes_is_followed_by_one_that_resumes(
    settings: Settings, servers: Path
) -> None:
    async with host(settings, "legacy") as client, host(settings) as other:
        before = address(servers).pid
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect_error, client, {"text": STORY * 100, "name": "long", "wait_seconds": 3600})
            job = await at_work(settings)
            os.kill(before, 9)
            wait_until(lambda: before not in [process.pid for process in alive(servers)])
        told = await ok(client, "memorize_status", job_id=job)
        resumed = await ok(other, "resume_memorize", job_id=job)
        assert (told["status"], resumed["status"]) == ("interrupted", "completed")
        await whole_answer(client, "long", QUESTION, STORY * 100)
        assert [process.pid for process in alive(servers)] == [address(servers).pid]
    assert address(servers).pid != before


async def at_work(settings: Settings) -> str:
    """The id of the only job, once it is at work and what it was asked is kept."""
    with anyio.fail_after(SECONDS):
        while True:
            for path in jobs_folder(settings).glob("*.json"):
                if recorded(settings, path.stem).resumable:
                    return path.stem
            await anyio.lowlevel.checkpoint()


async def expect_error(client: Client, arguments: dict[str, Any]) -> None:
    with pytest.raises(MCPError, match="Ask again"):
        await client.call_tool("memorize_context", arguments)


def test_of_hosts_that_start_at_once_one_starts_a_server_which_ends_after_the_last(
    settings: Settings, servers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMORAG_LINGER", "0.1")
    hello = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}) + "\n"
    pipe = subprocess.PIPE
    hosts = [
        subprocess.Popen([sys.executable, *starting(settings)], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        for _ in range(4)
    ]
    for one in hosts:
        assert one.stdin is not None
        one.stdin.write(hello)
        one.stdin.flush()
    answers = [one.stdout.readline() for one in hosts if one.stdout]
    running = [process.pid for process in alive(servers)]
    ended = [one.communicate(timeout=SECONDS) for one in hosts]
    wait_until(lambda: not alive(servers))
    assert [json.loads(answer)["id"] for answer in answers] == [1] * 4
    assert len(running) == 1
    assert ended == [("", "")] * 4
    assert [one.returncode for one in hosts] == [0] * 4
    assert list(servers.glob("*.json")) == list(servers.glob("*.sock")) == []


def test_a_server_that_cannot_start_says_why_to_its_host(settings: Settings, servers: Path) -> None:
    command = [sys.executable, *starting(settings, "--profil", "tiny")]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (1, "")
    assert "No such option: --profil" in run.stderr
    assert alive(servers) == []


async def test_where_no_socket_can_be_a_port_with_a_secret_is_used(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 100)
    monkeypatch.setenv("XDG_STATE_HOME", str(deep))
    folder = deep / "memorag" / "servers"
    async with host(settings) as client:
        assert await client.list_tools()
        port = address(folder).at
        with socket.create_connection(("127.0.0.1", int(port)), timeout=SECONDS) as stranger:
            heard = stranger.makefile("rb")
            assert heard.readline()
            stranger.sendall(b'{"proof": "guess", "folder": "/", "allow": ["/"]}\n{"id": 1, "method": "ping"}\n')
            assert heard.readline() == b""
        assert await client.list_tools()
    for server in alive(folder):
        server.kill()
        server.wait(SECONDS)


def test_where_no_folder_can_be_written_a_host_gets_a_server_of_its_own(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    hello = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}) + "\n"
    command = [sys.executable, *starting(settings)]
    run = subprocess.run(command, input=hello, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout)["id"] == 1
    assert "a server of its own" in run.stderr
