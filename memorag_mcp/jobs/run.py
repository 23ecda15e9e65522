"""Engine work from an async handler: short work in a thread, long work as a job that may outlive the request."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from memorag_core.concurrency.cancellation import cancellable
from memorag_core.concurrency.device_queue import as_client
from memorag_core.concurrency.flight import LANES
from memorag_core.concurrency.variables import set_within
from memorag_core.errors import Cancelled, MemoRAGError
from memorag_mcp.jobs.job import Asker, Job, JobRecord, has_ended, is_usable, time_left_text
from memorag_mcp.jobs.manager import Jobs

T = TypeVar("T")
Ctx = Context[Any, Any]
THREADS = 64
REFUSED_AT_ONCE = 16
SECONDS_TO_A_HANDLE = 20.0
SECONDS_TO_A_TASK = 0.5
SECONDS_FOR_THE_REST = 5.0
"""So short is the memory of a small text in the making that it is waited for; that of a long one is not."""
_task: ContextVar[list[Job] | None] = ContextVar("jobs_to_hand_over_as_tasks", default=None)


@dataclass(slots=True)
class Wire:
    """A connection that may end while requests on it wait, which takes none of them back."""

    ended: bool = False


_wire: ContextVar[Wire | None] = ContextVar("wire_of_requests", default=None)


def over(wire: Wire) -> AbstractContextManager[None]:
    """Requests that come inside come over this connection."""
    return set_within(_wire, wire)


@functools.cache
def _limiter() -> anyio.CapacityLimiter:
    """Threads for what takes no turn at the models: questions have others, so that they keep no listing waiting."""
    return anyio.CapacityLimiter(THREADS)


def question_threads(waiting: int) -> anyio.CapacityLimiter:
    """Threads for questions: some in flight, as many waiting as the queue takes, and others refused at once.

    The queue is where calls wait, as it alone knows whose turn it is; for a thread they only wait a moment.
    """
    return anyio.CapacityLimiter(LANES + 1 + waiting + REFUSED_AT_ONCE)


async def run(work: Callable[[], T], threads: anyio.CapacityLimiter | None = None) -> T:
    """Run `work` in a thread, of `threads` where it waits for the models; a client's cancel stops it at its next step.

    Raises:
        ToolError: for an error of the engine or of the operating system, as text that the model can act on.
    """
    flag = threading.Event()
    try:
        with _as_tool_errors(), cancellable(flag):
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=threads or _limiter())
    except anyio.get_cancelled_exc_class():
        flag.set()
        raise


@contextmanager
def _as_tool_errors() -> Iterator[None]:
    """Raise errors of the engine and of the operating system as text that the model can act on."""
    try:
        yield
    except (MemoRAGError, Cancelled) as error:
        raise ToolError(str(error)) from error
    except OSError as error:
        raise ToolError(f"The operating system refused that: {error}. Check paths, permissions and space.") from error


async def run_job(jobs: Jobs, ctx: Ctx, begin: Callable[[], Job], wait_seconds: float | None = None) -> JobRecord:
    """Do long work as a job: its end where that comes soon, else its state so far, to be asked about by its id.

    A client with Tasks gets a task. Others get the state soon after a part of the result can be used; before that, one
    that asked for progress waits as long as it likes, all others twenty seconds. `wait_seconds` overrides. A cancel of
    the request stops the job, a lost connection does not.

    Raises:
        ToolError: it failed while the client waited.
    """
    request = ctx.request_context
    asker = Asker(request.session.client_params, request.request_id)
    with jobs.expecting(asker), _as_tool_errors():
        job = await anyio.to_thread.run_sync(begin, limiter=_limiter())  # once begun, no cancel makes us leave it
        job.asker = asker
    if asker.cancelled:
        job.stop("cancelled")
    try:
        at_liberty = wait_seconds is None and _task.get() is None
        await follow(job, ctx, _patience(ctx, wait_seconds), SECONDS_FOR_THE_REST if at_liberty else None)
    except anyio.get_cancelled_exc_class():
        wire = _wire.get()
        if request.protocol_version in MODERN_PROTOCOL_VERSIONS and not (wire and wire.ended):
            job.stop("cancelled")  # dropping a request is how these clients cancel; older ones tell `cancels_jobs`
        raise
    job.asker = None
    if job.done:
        jobs.drop(job)
    elif (tasks := _task.get()) is not None:
        tasks.append(job)
    job.told = True
    if job.record.status != "completed" and job.done:
        raise ToolError(job.record.reason or job.record.status)
    return job.record


async def follow(job: Job, ctx: Ctx, seconds: float | None, seconds_for_the_rest: float | None = None) -> None:
    """Wait for a job's end, at most `seconds`; its progress goes to a client that asked for it.

    With `seconds_for_the_rest`, wait no longer than that once a part of the result can be used.
    """
    loop, changed, reported = asyncio.get_running_loop(), asyncio.Event(), 0.0

    def wake() -> None:
        loop.call_soon_threadsafe(changed.set)

    stages: list[tuple[float | None, Callable[[JobRecord], bool]]] = [(seconds, has_ended)]
    if seconds_for_the_rest is not None:
        stages = [(seconds, is_usable), (seconds_for_the_rest, has_ended)]
    with job.watch(wake):
        for limit, enough in stages:
            with anyio.move_on_after(limit):
                while not enough(record := job.record) or record.fraction > reported:
                    if record.fraction > reported:
                        reported = record.fraction
                        await ctx.report_progress(reported, 1.0, progress_text(record))
                    if record is job.record and not enough(record):
                        await changed.wait()
                        changed.clear()
            if not enough(job.record):
                return


def progress_text(record: JobRecord) -> str:
    """For people: the stage, how much is done, and how long it may take yet."""
    return f"{record.stage}: {record.fraction:.0%}{time_left_text(record)}"


@contextmanager
def as_tasks() -> Iterator[list[Job]]:
    """Jobs begun inside are handed over to a client that has Tasks; those not done at its end are in the list."""
    jobs: list[Job] = []
    with set_within(_task, jobs):
        yield jobs


def cancels_jobs(jobs: Jobs) -> ServerMiddleware[Any]:
    """Middleware for clients before 2026: their cancel stops the job, which the end of their connection does not."""

    async def middleware(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method == "notifications/cancelled" and ctx.session.client_params is not None:
            jobs.cancel_asked_by(ctx.session.client_params, (ctx.params or {}).get("requestId"))
        return await call_next(ctx)

    return middleware


def takes_turns_for(owner: str) -> ServerMiddleware[Any]:
    """Middleware: a call takes its turns at the models for its owner; where all have the same, for its connection.

    Where the call does not tell its connection, who serves that has said whose turns are taken.
    """

    async def middleware(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        client = owner or _connection(ctx)
        with as_client(client) if client else nullcontext():
            return await call_next(ctx)

    return middleware


def _connection(ctx: ServerRequestContext[Any, Any]) -> str:
    if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS and ctx.session.client_params is not None:
        return str(id(ctx.session.client_params))
    peer = ctx.request.client if ctx.request else None
    return f"{peer.host}:{peer.port}" if peer else ""


def _patience(ctx: Ctx, wait_seconds: float | None) -> float | None:
    if _task.get() is not None:
        return SECONDS_TO_A_TASK
    if wait_seconds is not None:
        return wait_seconds
    asked_for_progress = (ctx.request_context.meta or {}).get("progress_token") is not None
    return None if asked_for_progress else SECONDS_TO_A_HANDLE
