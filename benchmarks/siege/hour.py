"""Clients who come and go for a while over both transports, hang up, cancel and forget; then all is as before."""

from __future__ import annotations

import json
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio
import psutil
from mcp import Client
from mcp.client.sse import sse_client

from benchmarks.siege.served import LOOPBACK, Served, serve
from memorag_core.config import WORK

BOOK = "The mill stands at the head of the pond. Amos kept the gate book of {}. The horn was sounded on day {}. "
DAYS = 40
LONGEST_CALL = 120.0
SOON = 0.5
SECONDS_AFTER = 60.0
MIB = 1 << 20
MOST_MIB = 64
"""What a server may have grown by: pieces of memory that the system's allocator keeps."""
TRANSPORTS = ("http", "sse")


@dataclass(frozen=True, slots=True)
class Use:
    """What a server has taken of its machine."""

    mebibytes: float
    descriptors: int
    threads: int
    processes: int
    temporary: int

    @classmethod
    def of(cls, served: Served, temporary: Path) -> Use:
        """Measure."""
        process = psutil.Process(served.pid)
        return cls(
            process.memory_info().rss / MIB,
            process.num_fds(),
            process.num_threads(),
            len(process.children(recursive=True)),
            sum(1 for _ in temporary.rglob("*")),
        )


class Visitor:
    """A client with a context of its own, which connects anew for each of the things it does."""

    def __init__(self, name: str, served: Served, transport: str) -> None:
        """Take its name, and where it connects."""
        self.name = name
        self.served = served
        self.transport = transport
        self.chance = random.Random(name)
        self.done: Counter[str] = Counter()
        self.text = "".join(BOOK.format(name, day) for day in range(DAYS))

    async def stay(self, seconds: float) -> None:
        """Have the text memorized, and then do one thing after the other."""
        await self._connected(self._memorize)
        until = time.monotonic() + seconds
        acts = (self._ask, self._ask, self._ask, self._memorize_and_forget, self._cancel, self._leave)
        while time.monotonic() < until:
            if self.chance.random() < 0.1 and self.transport == "http":
                self._hang_up()
            else:
                await self._connected(self.chance.choice(acts))

    async def _connected(self, act: Callable[[Client], Awaitable[None]]) -> None:
        where = self.served.where
        server: Any = sse_client(f"{where}/sse") if self.transport == "sse" else f"{where}/mcp"
        with anyio.fail_after(LONGEST_CALL):
            async with Client(server) as client:
                await act(client)

    async def _call(self, client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool; nothing where it is told that the server is busy, which is all that may go wrong."""
        result = await client.call_tool(tool, arguments)
        self.done[tool] += 1
        if result.is_error:
            assert "busy" in str(result.content), result.content
            self.done["busy"] += 1
            return {}
        content: dict[str, Any] = result.structured_content or {}
        return content

    async def _memorize(self, client: Client) -> None:
        await self._call(client, "memorize_context", text=self.text, name=self.name)

    async def _ask(self, client: Client) -> None:
        """Ask, and compare each quote with the text."""
        tool = self.chance.choice(("retrieve_evidence", "answer", "recall_clues"))
        told = await self._call(client, tool, context_id=self.name, question=f"Who kept the book of {self.name}?")
        for quote in (*told.get("passages", ()), *told.get("citations", ())):
            words = quote.get("text") or quote["quote"]
            assert self.text[quote["start"] : quote["end"]] == words, (self.name, quote)
        assert told.get("context_id", self.name) == self.name

    async def _memorize_and_forget(self, client: Client) -> None:
        name = f"{self.name}-{self.done['forget_context']}"
        job = await self._call(client, "memorize_context", text=f"{self.text} {name}", name=name, wait_seconds=30)
        if job.get("context_id"):
            await self._call(client, "forget_context", context_id=name)

    async def _cancel(self, client: Client) -> None:
        text = f"{self.text * 4} {self.done['cancel_memorize']}"
        job = await self._call(client, "memorize_context", text=text, name=f"{self.name}-long", wait_seconds=0)
        if job.get("job_id"):
            await self._call(client, "cancel_memorize", job_id=job["job_id"])
            ended = await self._call(client, "memorize_status", job_id=job["job_id"])
            if (ended.get("result") or {}).get("context_id"):
                await self._call(client, "forget_context", context_id=ended["result"]["context_id"])

    async def _leave(self, client: Client) -> None:
        """Ask and go before the answer comes."""
        self.done["left"] += 1
        with anyio.move_on_after(self.chance.uniform(0, SOON)):
            await client.call_tool("answer", {"context_id": self.name, "question": "Who leaves?"})

    def _hang_up(self) -> None:
        """Send a question, whole or half of it, and cut the connection."""
        self.done["hung up"] += 1
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_contexts"}}
        body = json.dumps(call)
        head = (
            f"POST /mcp HTTP/1.1\r\nHost: {LOOPBACK}:{self.served.port}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        request = (head + body).encode()
        with socket.create_connection((LOOPBACK, self.served.port)) as wire:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.sendall(request[: self.chance.randrange(1, len(request))])


async def crowd(clients: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Let half of the clients come over each transport for so long; a minute later all is to be as it was."""
    done: Counter[str] = Counter()
    logs = [folder / transport / "log" for transport in TRANSPORTS]
    for log in logs:
        log.parent.mkdir()
    with serve(folder / "s1", logs[0], "http") as http, serve(folder / "s2", logs[1], "sse") as sse:
        both = (http, sse)
        visitors = [Visitor(f"v{n}", both[n % 2], TRANSPORTS[n % 2]) for n in range(clients)]
        await _stay(visitors, seconds / 10)
        await anyio.sleep(min(SECONDS_AFTER, seconds / 5))
        before = [Use.of(served, log.with_name("tmp")) for served, log in zip(both, logs, strict=True)]
        await _stay(visitors, seconds)
        await anyio.sleep(SECONDS_AFTER)
        after = [Use.of(served, log.with_name("tmp")) for served, log in zip(both, logs, strict=True)]
        for visitor in visitors:
            done += visitor.done
            await visitor._connected(visitor._ask)
    uses = [{"before": asdict(one), "after": asdict(two)} for one, two in zip(before, after, strict=True)]
    result = {"seconds": seconds, "clients": clients, "calls": done, "use": uses} | {
        "log_bytes": [log.stat().st_size for log in logs],
        "left": [path.name for store in ("s1", "s2") for path in (folder / store / WORK).iterdir()],
    }
    _check(before, after, result)
    return result


async def _stay(visitors: list[Visitor], seconds: float) -> None:
    async with anyio.create_task_group() as tasks:
        for visitor in visitors:
            tasks.start_soon(visitor.stay, seconds)


def _check(before: list[Use], after: list[Use], result: dict[str, Any]) -> None:
    for one, two in zip(before, after, strict=True):
        assert two.mebibytes < one.mebibytes + MOST_MIB, result
        assert two.descriptors <= one.descriptors, result
        assert two.threads <= one.threads, result
        assert (two.processes, two.temporary) <= (one.processes, one.temporary), result
    assert all(name in {"store.lock", "jobs"} for name in result["left"]), result
