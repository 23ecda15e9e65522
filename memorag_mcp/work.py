"""Engine work from an async handler: in a thread, with progress while it runs and a stop when the client cancels."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError

from memorag_core.errors import Cancelled, MemoRAGError
from memorag_core.types import OnProgress, Progress

T = TypeVar("T")
SECONDS_BETWEEN_REPORTS = 0.25


async def run(work: Callable[[], T]) -> T:
    """Run `work` in a thread; an error of the engine becomes one that the model can read and act on."""
    try:
        return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
    except MemoRAGError as error:
        raise ToolError(str(error)) from error


async def run_with_progress(work: Callable[[OnProgress], T], ctx: Context[Any, Any]) -> T:
    """Run long work that reports progress; a client's cancel stops it at its next step."""
    stopped = threading.Event()
    reported = 0.0

    def on_progress(progress: Progress) -> None:
        nonlocal reported
        if stopped.is_set():
            raise Cancelled("The client cancelled; nothing was kept.")
        if time.monotonic() - reported >= SECONDS_BETWEEN_REPORTS or progress.fraction >= 1:
            reported = time.monotonic()
            message = f"{progress.stage}: {progress.done} of {progress.total}"
            anyio.from_thread.run(ctx.report_progress, progress.fraction, 1.0, message)

    try:
        return await run(lambda: work(on_progress))
    except anyio.get_cancelled_exc_class():
        stopped.set()
        raise
