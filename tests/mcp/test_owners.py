"""Each owner's server is made when the owner first comes, and nobody else waits for that."""

from __future__ import annotations

import threading

import anyio
import pytest
from starlette.types import Message, Scope

from memorag_core import MemoRAG, Settings
from memorag_mcp.http.app import Owners
from memorag_mcp.protocol.sdk_server import ContextServer
from memorag_mcp.server import build_server

pytestmark = pytest.mark.anyio
SECONDS = 30.0


class User:
    """Who a token belongs to."""

    def __init__(self, name: str) -> None:
        self.display_name = name


async def test_while_one_owners_store_is_swept_another_is_served(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeping, gate = threading.Event(), threading.Event()

    def wait_at_gate() -> None:
        sweeping.set()
        assert gate.wait(SECONDS)

    def build(owner: str) -> ContextServer:
        engine = MemoRAG(settings)
        if owner == "slow":
            monkeypatch.setattr(engine.store, "sweep", wait_at_gate)
        return build_server(engine, owner=owner)

    async def answered(owner: str) -> int:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope: Scope = {"type": "http", "method": "GET", "path": "/nowhere", "headers": [], "user": User(owner)}
        await owners({**scope, "query_string": b"", "root_path": ""}, receive, send)
        return int(sent[0]["status"])

    owners = Owners(build, {}, "http")
    async with owners.open(None), anyio.create_task_group() as tasks:  # type: ignore[arg-type]  # it is not looked at
        tasks.start_soon(answered, "slow")
        with anyio.fail_after(SECONDS):
            while not sweeping.is_set():
                await anyio.lowlevel.checkpoint()
            assert await answered("quick") == 404
        assert "slow" not in owners.servers
        gate.set()
