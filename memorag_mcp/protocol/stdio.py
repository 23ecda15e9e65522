"""Standard input and output, for clients that probe with `server/discover` and then shake hands all the same.

The SDK settles the era with the first request, so it would refuse `initialize` after a probe. Here probes that come
first are answered one by one, each by the server itself in a session of its own; the first other message opens the
session that stays.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCRequest

Message = SessionMessage | Exception
PROBE = "server/discover"
INTERRUPTED = 130


async def serve_stdio(server: Server[Any], close: Callable[[], object]) -> None:
    """Serve one client until it closes standard input, or until an interrupt, at which `close` is called."""
    async with anyio.create_task_group() as tasks:
        if sys.platform != "win32":  # where an event loop hears no signals
            await tasks.start(_end_on_interrupt, close)
        await serve_lines(server)
        tasks.cancel_scope.cancel()


async def _end_on_interrupt(close: Callable[[], object], *, task_status: TaskStatus[None]) -> None:
    """End the process: cancelled, it would wait for the thread that reads standard input, and so for the client."""
    with anyio.open_signal_receiver(signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            try:
                await anyio.to_thread.run_sync(close)
            finally:
                os._exit(INTERRUPTED)


async def serve_lines(server: Server[Any], stdin: Any = None, stdout: Any = None) -> None:
    """Serve one client over lines that are read from one file and written to another; by default the standard ones."""
    async with stdio_server(stdin, stdout) as (read, write), read, write:
        async for message in read:
            if not _is_probe(message):
                await _serve_from(server, message, read, write)
                return
            await write.send(await _answer(server, message))


def _is_probe(message: Message) -> bool:
    request = message.message if isinstance(message, SessionMessage) else None
    return isinstance(request, JSONRPCRequest) and request.method == PROBE


async def _answer(server: Server[Any], probe: Message) -> SessionMessage:
    """The server's reply to one message, in a session that ends with it."""
    to_server, from_client = anyio.create_memory_object_stream[Message](1)
    to_client, from_server = anyio.create_memory_object_stream[SessionMessage](1)
    async with anyio.create_task_group() as tasks, to_server, from_server:
        tasks.start_soon(server.run, from_client, to_client, server.create_initialization_options())
        await to_server.send(probe)
        reply = await from_server.receive()
        tasks.cancel_scope.cancel()
    return reply


async def _serve_from(server: Server[Any], first: Message, read: Any, write: Any) -> None:
    """The session that stays: the message at hand, then the rest."""
    send, replayed = anyio.create_memory_object_stream[Message](0)

    async def relay() -> None:
        async with send:
            await send.send(first)
            async for message in read:
                await send.send(message)

    async with anyio.create_task_group() as tasks, replayed:
        tasks.start_soon(relay)
        await server.run(replayed, write, server.create_initialization_options())
        tasks.cancel_scope.cancel()
