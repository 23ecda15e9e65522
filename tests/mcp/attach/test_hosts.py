"""The server's side of attaching, in this process: what the end of a connection means to the work asked for over it."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from conftest import STORY
from gated import Gated, reached
from mcp_processes import META, TOOLS
from waits import SECONDS

from memorag_core import Settings
from memorag_mcp.attach.files import Address
from memorag_mcp.attach.greeting import Hello
from memorag_mcp.attach.hosts import Reception
from memorag_mcp.attach.start import Connection, connect
from memorag_mcp.protocol.sdk_server import ContextServer
from memorag_mcp.server import build_server

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(os.name != "posix", reason="it listens on a Unix socket")]


@asynccontextmanager
async def attached(server: ContextServer, path: Path) -> AsyncIterator[tuple[Reception, Connection]]:
    """A host of a server in this process."""
    reception = Reception(server, "secret")
    async with await anyio.create_unix_listener(path) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, reception.receive)
        address = Address(str(path), "secret", 0)
        yield reception, await anyio.to_thread.run_sync(connect, address, Hello("/", ()))
        tasks.cancel_scope.cancel()


def ask(connection: Connection, method: str, **params: Any) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params | {"_meta": META}}
    assert connection.send(json.dumps(message).encode() + b"\n")


async def test_work_goes_on_when_the_host_that_asked_for_it_leaves_and_keeps_the_server_alive(
    settings: Settings, tmp_path: Path
) -> None:
    engine = Gated(settings)
    server = build_server(engine)
    async with attached(server, tmp_path / "s") as (reception, connection):
        ask(connection, "tools/call", name="memorize_context", arguments={"text": STORY, "name": "mill"})
        await reached(engine.reached)
        connection.close()
        with anyio.move_on_after(0.3) as waited:
            await reception.wait_until_empty(0.01)
        assert waited.cancelled_caught
        engine.gate.set()
        with anyio.fail_after(SECONDS):
            await reception.wait_until_empty(0.01)
    assert [context.id for context in engine.contexts()] == ["mill"]


async def test_a_session_that_breaks_harms_no_other(settings: Settings, tmp_path: Path) -> None:
    server = build_server(Gated(settings))
    async with attached(server, tmp_path / "s") as (_, connection):
        other = await anyio.to_thread.run_sync(connect, Address(str(tmp_path / "s"), "secret", 0), Hello("/", ()))
        connection.send(b"\xff\n{\n[[[\n")
        connection.close()
        ask(other, "tools/list")
        answer = json.loads(await anyio.to_thread.run_sync(other.reader.readline))
        other.close()
    assert {tool["name"] for tool in answer["result"]["tools"]} == TOOLS


async def test_a_host_that_only_probes_and_leaves_has_left(settings: Settings, tmp_path: Path) -> None:
    async with attached(build_server(Gated(settings)), tmp_path / "s") as (reception, connection):
        ask(connection, "server/discover")
        assert await anyio.to_thread.run_sync(connection.reader.readline)
        connection.close()
        with anyio.fail_after(SECONDS):
            await reception.wait_until_empty(0.01)
