"""Half-sent requests, slow ones and too many of them: nobody else is kept waiting, and what is silent is closed."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from http.client import HTTPConnection

import anyio
import httpx
import pytest
import uvicorn
from anyio.abc import SocketStream
from mcp_processes import LOOPBACK, served
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState
from waits import SECONDS

from memorag_core import Settings
from memorag_mcp.http import connections
from memorag_mcp.http.connections import BoundedProtocol, allow_connections
from memorag_mcp.http.logs import OncePerMinute

pytestmark = pytest.mark.anyio
HALF = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n"
WHOLE = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def patient(_: Scope, receive: Receive, send: Send) -> None:
    """Answers after longer than a client may be silent."""
    while (await receive()).get("more_body"):
        pass
    await anyio.sleep(0.2)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A server in this process that waits for nothing longer than a twentieth of a second."""
    import asyncio

    monkeypatch.setattr(connections, "SECONDS_FOR_A_HEAD", 0.05)
    monkeypatch.setattr(connections, "SECONDS_BETWEEN_PIECES", 0.05)
    config, state = uvicorn.Config(patient, lifespan="off", log_level="critical"), ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: BoundedProtocol(config, state, {}), LOOPBACK, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def rest(stream: SocketStream) -> bytes:
    """What comes until the connection is closed."""
    got = b""
    with anyio.fail_after(SECONDS), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            got += await stream.receive()
    return got


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        HALF,
        HALF + b"Content-Length: 10\r\n\r\nhalf",
        HALF + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
async def test_a_request_that_is_not_sent_to_its_end_is_closed(port: int, sent: bytes) -> None:
    async with await anyio.connect_tcp(LOOPBACK, port) as stream:
        if sent:
            await stream.send(sent)
        assert await rest(stream) == b""


async def test_a_second_request_on_a_connection_has_no_more_time_than_the_first(port: int) -> None:
    async with await anyio.connect_tcp(LOOPBACK, port) as stream:
        await stream.send(WHOLE)
        with anyio.fail_after(SECONDS):
            answered = b""
            while not answered.endswith(b"ok"):
                answered += await stream.receive()
        await stream.send(HALF)
        assert await rest(stream) == b""


async def test_whoever_keeps_its_head_back_longest_makes_room(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SECONDS_FOR_A_HEAD", SECONDS)
    monkeypatch.setattr(BoundedProtocol, "most", 8)
    async with await anyio.connect_tcp(LOOPBACK, port) as first:
        others = [await anyio.connect_tcp(LOOPBACK, port) for _ in range(6)]
        for stream in others:
            await stream.send(WHOLE if stream is others[-1] else HALF)
        assert await rest(first) == b""
        with anyio.fail_after(SECONDS):
            assert (await others[-1].receive()).startswith(b"HTTP/1.1 200")
        for stream in others:
            await stream.aclose()


async def test_who_was_answered_and_asks_nothing_more_makes_room_too(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SECONDS_FOR_A_HEAD", SECONDS)
    monkeypatch.setattr(BoundedProtocol, "most", 8)
    async with await anyio.connect_tcp(LOOPBACK, port) as first:
        await first.send(WHOLE)
        answered = b""
        with anyio.fail_after(SECONDS):
            while not answered.endswith(b"ok"):
                answered += await first.receive()
        others = [await anyio.connect_tcp(LOOPBACK, port) for _ in range(6)]
        assert await rest(first) == b""
        for stream in others:
            await stream.aclose()


@pytest.mark.slow
def test_a_connection_outlives_the_time_for_which_clients_keep_one(settings: Settings) -> None:
    with served(settings, "http") as port:
        wire = HTTPConnection(LOOPBACK, port)
        wire.connect()
        wire.auto_open = 0  # it may not connect again
        for _ in range(2):
            wire.request("GET", "/healthz")
            assert wire.getresponse().read() == b"ok\n"
            time.sleep(6)  # clients of Python keep one for 5 s
        wire.close()


@pytest.mark.parametrize("transport", ["http", pytest.param("sse", marks=pytest.mark.slow)])
def test_a_thousand_half_sent_requests_keep_nobody_out(settings: Settings, transport: str) -> None:
    allow_connections()
    with served(settings, transport) as port:
        halves = []
        try:
            for _ in range(1100):
                half = socket.create_connection((LOOPBACK, port), SECONDS)
                half.sendall(HALF)
                halves.append(half)
            assert httpx.get(f"http://{LOOPBACK}:{port}/healthz", timeout=SECONDS).text == "ok\n"
        finally:
            for half in halves:
                half.close()


def test_what_repeats_is_told_once_a_minute_with_how_often(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("memorag_mcp.http.logs.time.monotonic", lambda: now)
    once = OncePerMinute()

    def told(text: str, error: Exception | None = None) -> str | None:
        cause = (type(error), error, None) if error else None
        record = logging.LogRecord("asyncio", logging.ERROR, "", 0, text, None, cause)
        return record.getMessage() if once.filter(record) else None

    assert [told("full"), told("full"), told("other"), told("full")] == ["full", None, "other", None]
    assert told("left", ClientDisconnect()) is None
    now += 61
    assert told("full") == "full (and 2 times in the last minute)"
