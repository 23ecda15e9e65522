"""Engine work from an async handler: in a thread, with progress while it runs and a stop when the client cancels."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError

from memorag_core.errors import MemoRAGError
from memorag_core.stopping import check, stoppable
from memorag_core.types import OnProgress, Progress

T = TypeVar("T")
SECONDS_BETWEEN_REPORTS = 0.25
AT_ONCE = 64


@functools.cache
def _limiter() -> anyio.CapacityLimiter:
    """Threads for engine work: its own, so that those who wait for the models keep no listing or reading waiting."""
    return anyio.CapacityLimiter(AT_ONCE)


async def run(work: Callable[[], T]) -> T:
    """Run `work` in a thread; a client's cancel stops it at its next step.

    Raises:
        ToolError: for an error of the engine or of the operating system, as text that the model can act on.
    """
    flag = threading.Event()
    try:
        with stoppable(flag):
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=_limiter())
    except MemoRAGError as error:
        raise ToolError(str(error)) from error
    except OSError as error:
        raise ToolError(f"The operating system refused that: {error}. Check paths, permissions and space.") from error
    except anyio.get_cancelled_exc_class():
        flag.set()
        raise


async def run_with_progress(work: Callable[[OnProgress], T], ctx: Context[Any, Any]) -> T:
    """Run long work that reports progress, which only ever grows."""
    reported_at = 0.0
    reported = 0.0

    def on_progress(progress: Progress) -> None:
        nonlocal reported_at, reported
        check()
        due = time.monotonic() - reported_at >= SECONDS_BETWEEN_REPORTS or progress.fraction >= 1
        if due and progress.fraction > reported:
            reported_at, reported = time.monotonic(), progress.fraction
            anyio.from_thread.run(ctx.report_progress, reported, 1.0, f"{progress.stage}: {reported:.0%}")

    return await run(lambda: work(on_progress))
