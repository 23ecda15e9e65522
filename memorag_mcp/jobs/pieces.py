"""A text that is told while it is written: each piece is the message of a progress notification."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from memorag_core.types import OnText
from memorag_mcp.jobs.run import Ctx


@asynccontextmanager
async def tell_pieces(ctx: Ctx) -> AsyncIterator[OnText]:
    """Give a function for the working thread that hears pieces; at the end all have been sent to who asked for them.

    The SDK tells nobody else. Progress counts characters. What was written while the last message was under way goes
    into one.
    """
    loop, written = asyncio.get_running_loop(), asyncio.Queue[str | None]()

    async def send() -> None:
        told, ended = 0, False
        while not ended:
            pieces = [await written.get()]
            while not written.empty():
                pieces.append(written.get_nowait())
            ended = pieces[-1] is None
            text = "".join(filter(None, pieces))
            told += len(text)
            if text:
                await ctx.report_progress(told, message=text)

    def hear(piece: str) -> None:
        loop.call_soon_threadsafe(written.put_nowait, piece)

    sending = asyncio.create_task(send())
    try:
        yield hear
    finally:
        loop.call_soon(written.put_nowait, None)  # behind what the thread has handed over
    await sending
