"""Server processes for tests, and clients of them."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal

import psutil
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client

from memorag_core import Settings
from memorag_mcp.commands.options import engine_flags
from memorag_mcp.jobs.job import JobRecord

Era = Literal["auto", "legacy"]
LOOPBACK = "127.0.0.1"
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = itertools.cycle(range(20_000 + 1_000 * (WORKER % 10), 21_000 + 1_000 * (WORKER % 10)))
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "0"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}}
TOOLS = {
    "memorize_context",
    "memorize_status",
    "resume_memorize",
    "cancel_memorize",
    "list_contexts",
    "add_documents",
    "remove_document",
    "sync_context",
    "forget_context",
    "recall_clues",
    "retrieve_evidence",
    "answer",
    "summarize",
}


def command(settings: Settings, *more: str) -> list[str]:
    """The arguments of Python that serve with these settings."""
    return ["-m", "memorag_mcp.cli", "serve", *engine_flags(settings), *more]


def over_stdio(settings: Settings, era: Era = "auto", allow: Path | None = None) -> Client:
    """A client that starts its own server, in this environment, whole: the threads that models may use are in it."""
    more = ["--allow", str(allow)] if allow else []
    arguments = command(settings, *more)
    return Client(StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ)), mode=era)


@asynccontextmanager
async def over_http(
    settings: Settings, transport: str, era: Era = "auto", allow: Path | None = None
) -> AsyncIterator[Client]:
    """A client of a server that listens, over `sse` or `http`."""
    with served(settings, transport, *(["--allow", str(allow)] if allow else [])) as port:
        where = f"http://{LOOPBACK}:{port}"
        server: Any = sse_client(f"{where}/sse") if transport == "sse" else f"{where}/mcp"
        async with Client(server, mode=era) as client:
            yield client


@contextmanager
def served(settings: Settings, transport: str, *more: str) -> Iterator[int]:
    """A server process listening on a free port of this machine."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, *command(settings, "--transport", transport, "--port", str(port), *more)]
    )
    try:
        poll_until(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def free_port() -> int:
    """A port on which nobody listens, below those that the system gives away, and of no other test process."""
    for port in PORTS:
        with socket.socket(socket.AF_INET6 if socket.has_ipv6 else socket.AF_INET) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        return port
    raise OSError("No port is free for tests.")


def listener(port: int) -> psutil.Process:
    """The process that listens on a port."""
    [number] = {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1] == port
    }
    return psutil.Process(number)


def resident(port: int) -> int:
    """Bytes of memory of the process that listens on a port."""
    return int(listener(port).memory_info().rss)


def poll_until(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return
    raise AssertionError("the server did not start")


async def ok(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured result of a tool that must not fail; of long work, unless told how long to wait, its end."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    content: dict[str, Any] = result.structured_content or {}
    if content.get("status") == "working" and "wait_seconds" not in arguments:
        return await ok(client, "memorize_status", job_id=content["job_id"])
    return content


def jobs_folder(settings: Settings) -> Path:
    """Where the store keeps records of jobs."""
    return settings.store / ".work" / "jobs"


def recorded(settings: Settings, job_id: str) -> JobRecord:
    """What is on disk of a job."""
    return JobRecord.model_validate_json((jobs_folder(settings) / f"{job_id}.json").read_bytes())


async def whole_answer(client: Client, context_id: str, question: str, text: str) -> dict[str, Any]:
    """An answer, each of its quotes checked against the text."""
    answer = await ok(client, "answer", context_id=context_id, question=question)
    assert answer["citations"]
    assert all(text[c["start"] : c["end"]] == c["quote"] for c in answer["citations"])
    return answer


@contextmanager
def speaking(settings: Settings) -> Iterator[Any]:
    """A server process, as a function that sends a request and reads its reply."""
    with subprocess.Popen(
        [sys.executable, *command(settings)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        to, back = server.stdin, server.stdout

        def ask(number: int | None, method: str, params: dict[str, Any] | None = None) -> Any:
            numbered = {} if number is None else {"id": number}
            to.write(json.dumps({"jsonrpc": "2.0", "method": method, "params": params or {}} | numbered) + "\n")
            to.flush()
            while number is not None:
                message = json.loads(back.readline())
                if "id" in message:
                    return message
            return None

        yield ask
        to.close()
        assert server.wait(20) == 0
        assert back.read() == ""
