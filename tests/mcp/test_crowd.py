"""Many clients at once on a listening server, one of whom dies, and the server too: nothing is mixed up or lost."""

from __future__ import annotations

import itertools
import json
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from conftest import STORY
from mcp import Client
from mcp_processes import LOOPBACK, listener, ok, resident, served

from memorag_core import Settings

pytestmark = pytest.mark.anyio
TEXTS = {name: f"{STORY}\nThis stands in the book of {name}. " * 12 for name in ("ann", "bob")}
THIRD = f"{STORY} Everybody waits. "
WRITTEN = TEXTS | {"third": THIRD * 20, "fourth": THIRD * 300}
CLIENTS = 20
MIB = 1 << 20
SECONDS = 300
SECONDS_TO_BEGIN = 60


def url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}/mcp"


async def ask(port: int, name: str, rounds: Iterator[int], busy: list[str]) -> None:
    """One client, which asks about its context as long as there are rounds; all it is told is from that context."""
    async with Client(url(port)) as client:
        for number in rounds:
            tool = ("retrieve_evidence", "answer", "recall_clues")[number % 3]
            result = await client.call_tool(tool, {"context_id": name, "question": f"Whose is book {number}?"})
            if result.is_error:
                assert "busy" in str(result.content)
                busy.append(name)
                continue
            told: dict[str, Any] = result.structured_content or {}
            assert told["context_id"] == name
            assert told.get("passages") or tool != "retrieve_evidence"
            for quote in (*told.get("passages", ()), *told.get("citations", ())):
                words = quote.get("text") or quote["quote"]
                assert TEXTS[name][quote["start"] : quote["end"]] == words


def die(port: int) -> None:
    """A client that asks and, before it hears anything, is cut off."""
    arguments = {"name": "answer", "arguments": {"context_id": "ann", "question": "Who dies?"}}
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "dying", "version": "0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": arguments | {"_meta": meta}}
    body = json.dumps(call)
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nContent-Type: application/json\r\nMcp-Method: tools/call\r\n"
        f"Mcp-Name: answer\r\nMcp-Protocol-Version: 2026-07-28\r\nAccept: application/json, text/event-stream\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((LOOPBACK, port)) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.sendall((head + body).encode())


async def crowd(port: int, rounds: Callable[[], Iterator[int]]) -> list[str]:
    """Twenty clients on two contexts, a third memorized meanwhile, a client that dies; who was told busy."""
    busy: list[str] = []
    async with Client(url(port)) as client, anyio.create_task_group() as tasks:
        for name, text in TEXTS.items():
            await ok(client, "memorize_context", text=text, name=name)
        for number in range(CLIENTS):
            tasks.start_soon(ask, port, ("ann", "bob")[number % 2], rounds(), busy)
        die(port)
        third = await ok(client, "memorize_context", text=WRITTEN["third"], name="third")
        assert third["status"] == "completed"
    return busy


@pytest.mark.slow
async def test_twenty_clients_at_once_mix_nothing_up_and_a_server_killed_then_has_all_whole_contexts(
    settings: Settings,
) -> None:
    with served(settings, "http") as port:
        assert await crowd(port, lambda: iter(range(1))) == []
        before = resident(port)
        await crowd(port, lambda: iter(range(1, 3)))
        assert resident(port) - before < 150 * MIB
        async with Client(url(port)) as client:
            job = await ok(client, "memorize_context", text=WRITTEN["fourth"], name="fourth", wait_seconds=0)
            with anyio.fail_after(SECONDS_TO_BEGIN):
                while (await ok(client, "memorize_status", job_id=job["job_id"], wait_seconds=0))["progress"] < 0.02:
                    await anyio.lowlevel.checkpoint()
        listener(port).kill()
    with served(settings, "http") as port:
        async with Client(url(port)) as client:
            told = await ok(client, "memorize_status", job_id=job["job_id"])
            listed = await ok(client, "list_contexts")
            names = {context["context_id"] for context in listed["contexts"]}
            for name in names:
                found = await ok(client, "retrieve_evidence", context_id=name, question="Whose?", use_clues=False)
                assert found["passages"]
                assert all(WRITTEN[name][p["start"] : p["end"]] == p["text"] for p in found["passages"])
    assert told["status"] == "interrupted"
    assert names - {"fourth"} == {"ann", "bob", "third"}, "the fourth is there if its evidence was, and then whole"
    assert listed["damaged"] == {}


@pytest.mark.slow
async def test_too_many_at_once_are_told_busy_and_their_position_and_nothing_else(settings: Settings) -> None:
    few = settings.model_copy(update={"queue": 2})
    with served(few, "http") as port:
        busy = await crowd(port, lambda: iter(range(2)))
    assert busy


@pytest.mark.slow
async def test_for_five_minutes_and_memory_stays_flat(settings: Settings) -> None:
    with served(settings, "http") as port:
        busy = await crowd(port, lambda: iter(range(10)))
        before, until = resident(port), time.monotonic() + SECONDS
        busy += await crowd(port, lambda: itertools.takewhile(lambda _: time.monotonic() < until, itertools.count()))
        after = resident(port)
    sys.stdout.write(f"{before / MIB:.0f} MiB, {after / MIB:.0f} after {SECONDS} s; busy {len(busy)} times\n")
    assert after - before < before // 10
