"""The server's side: every host that attaches has a session of its own; a while after the last, the server ends."""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio.abc import ByteStream, Listener

from memorag_core.concurrency.device_queue import as_client
from memorag_mcp.attach import greeting
from memorag_mcp.attach.files import Address, ServerFiles
from memorag_mcp.attach.start import LOOPBACK, READY, SECONDS_TO_GREET
from memorag_mcp.inputs import Host, serving
from memorag_mcp.jobs.run import Wire, over

if TYPE_CHECKING:
    from memorag_mcp.protocol.sdk_server import ContextServer

SECONDS_BETWEEN_LOOKS = 0.25
PIECE = 1 << 16
GONE = (greeting.Refused, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, TimeoutError)
log = logging.getLogger(__name__)


class Lines:
    """A connection as the two files of lines that the SDK's stdio transport reads and writes."""

    def __init__(self, stream: ByteStream) -> None:
        self.wire = Wire()
        self._stream = stream
        self._rest = bytearray()

    async def read(self) -> bytes:
        """The next line with its end; nothing at the end of all."""
        seen = 0
        while (end := self._rest.find(b"\n", seen)) < 0:
            seen = len(self._rest)
            try:
                self._rest += await self._stream.receive(PIECE)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                self.wire.ended = True
                return b""
        line = bytes(self._rest[: end + 1])
        del self._rest[: end + 1]
        return line

    async def __aiter__(self) -> AsyncIterator[str]:
        while line := await self.read():
            yield line.decode("utf-8", "replace")

    async def write(self, text: str) -> None:
        """Send it."""
        await self._stream.send(text.encode("utf-8", "surrogatepass"))

    async def flush(self) -> None:
        """Nothing is kept back."""


@dataclass(frozen=True)
class Hosts:
    """Where hosts find this server, and how many seconds it lives without any."""

    file: Path
    linger: float

    async def serve(self, server: ContextServer) -> None:
        """Serve every host that attaches, until none has been attached and no job at work for a while."""
        files = ServerFiles.at(self.file)
        listener, at = await _listen(files)
        address = Address(at, secrets.token_hex(), os.getpid())
        reception = Reception(server, address.secret)
        async with listener, anyio.create_task_group() as tasks:
            try:
                files.write(address)
                _say_ready()
                if sys.platform != "win32":  # where an event loop hears no signals
                    tasks.start_soon(_end_on_signal, tasks.cancel_scope)
                tasks.start_soon(listener.serve, reception.receive)
                await reception.wait_until_empty(self.linger)
            finally:
                files.clear(address)
                tasks.cancel_scope.cancel()


class Reception:
    """Receives hosts, and knows how many there are."""

    def __init__(self, server: ContextServer, secret: str) -> None:
        self._server = server
        self._secret = secret
        self._attached = 0
        self._left_at = time.monotonic()
        self._numbers = itertools.count(1)

    async def receive(self, stream: ByteStream) -> None:
        """Serve one host until it leaves. What breaks in its session harms no other."""
        self._attached += 1
        try:
            async with stream:
                await self._serve(Lines(stream))
        except* GONE:
            pass
        except* Exception:
            log.exception("the session of a host broke")
        finally:
            self._attached -= 1
            self._left_at = time.monotonic()

    async def wait_until_empty(self, seconds: float) -> None:
        """Return once there has been neither a host nor a job for so long."""
        while True:
            await anyio.sleep(min(SECONDS_BETWEEN_LOOKS, seconds))
            if self._attached or self._server.jobs.at_work:
                self._left_at = time.monotonic()
            elif time.monotonic() - self._left_at >= seconds:
                return

    async def _serve(self, lines: Lines) -> None:
        with anyio.fail_after(SECONDS_TO_GREET):
            challenge = greeting.challenge()
            await lines.write(challenge.decode())
            introduced = await lines.read()
            hello = greeting.recognize(self._secret, challenge, introduced)
            await lines.write(greeting.welcome(self._secret, introduced).decode())
        host = Host(Path(hello.folder), [Path(folder) for folder in hello.allow])
        with serving(host), as_client(f"host {next(self._numbers)}"), over(lines.wire):
            await self._server.run_lines_async(lines)


async def _listen(files: ServerFiles) -> tuple[Listener[ByteStream], str | int]:
    """Listen at its socket, or at a port of this machine; and where that is."""
    if files.socket:
        return await anyio.create_unix_listener(files.socket, mode=0o600), str(files.socket)
    listener = await anyio.create_tcp_listener(local_host=LOOPBACK)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610  # of a listener, not of a database
    return listener, int(port)


def _say_ready() -> None:
    """To who started us, and waits to hear it; from now on what is printed goes to the log."""
    with suppress(OSError):  # it has gone, and others may come
        os.write(1, READY)
    os.dup2(2, 1)


async def _end_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            scope.cancel()
