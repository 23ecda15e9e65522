"""A replica with models: it answers what fronts ask, and makes contexts. Ray Serve starts as many as are wanted.

What is done is told as a stream of events: progress and pieces of text, at last a result or an error. Between them
comes a sign of life each second, by which the front that waits can hear that its client has gone.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from ray import serve
from ray.serve.metrics import Counter

from memorag_core.concurrency.cancellation import StopFlag, cancellable, raise_if_cancelled
from memorag_core.concurrency.device_queue import as_client
from memorag_core.config import Settings
from memorag_core.engine import MemoRAG
from memorag_core.runtime import Runtime
from memorag_core.types import Progress
from memorag_mcp.http.metrics import device_bytes
from memorag_mcp.http.tokens import settings_of
from memorag_mcp.jobs.call import Call
from memorag_mcp.jobs.job import Job, JobRecord, ignore_record
from memorag_mcp.protocol.sdk_server import ContextServer
from memorag_mcp.server import build_server

CONTEXTS_ROUTED = 256
"""So many contexts a replica is known for; how many of them stay warm is decided by `warm_mib`."""
SECONDS_BETWEEN_SIGNS = 1.0


@dataclass(frozen=True, slots=True)
class Event:
    """What a replica tells while it works."""

    kind: Literal["told", "alive", "result", "error"]
    value: Any = None


Tell = Callable[[Any], None]


class ForwardedJob(Job):
    """A job of a front's, as the replica that does it knows it."""

    def __init__(self, record: JobRecord, tell: Tell) -> None:
        super().__init__(record, ignore_record)
        self._tell = tell

    def report(self, progress: Progress) -> None:
        """An `OnProgress` of the engine."""
        raise_if_cancelled()
        self._tell(progress)

    def publish(self, result: BaseModel) -> None:
        """Tell of a result that can be used already."""
        self._tell(result)


class Worker:
    """Models and the contexts that are warm; one engine for each owner, over the shared store."""

    def __init__(self, options: dict[str, Any]) -> None:
        """Take the settings as they are written in a file; the models are loaded before the replica is one."""
        self.settings = Settings.of(**options)
        self.shared = Runtime(self.settings, _say, lasting=True)
        self.servers: dict[str, ContextServer] = {}
        self.asked = Counter("memorag_questions_total", "Questions, by whether their context was warm.", ("warm",))
        with self.shared.device_queue.slot():
            self.shared.components.open_all()

    @serve.multiplexed(max_num_models_per_replica=CONTEXTS_ROUTED)  # type: ignore[untyped-decorator]  # of Ray
    async def know(self, context: str) -> str:
        """Have Ray Serve send what is asked about a context here. It is loaded when the question has its turn."""
        return context

    async def ask(self, owner: str, method: str, values: dict[str, Any]) -> AsyncIterator[Event]:
        """Call a method of the owner's engine, in the owner's turn; pieces of its text are told."""
        await self.know(serve.get_multiplexed_model_id())
        engine = self._server(owner).engine
        warm = [self.shared.context_cache.get((engine.store.root, one)) for one in _contexts_in(values)]
        self.asked.inc(tags={"warm": str(None not in warm).lower()})

        def work(tell: Tell) -> object:
            with as_client(owner):
                return getattr(engine, method)(**values, **({"on_text": tell} if method in SPEAKING else {}))

        async for event in _events(work):
            yield event

    async def work(self, owner: str, record: JobRecord, call: Call) -> AsyncIterator[Event]:
        """Do a front's job."""
        await self.know(serve.get_multiplexed_model_id())
        jobs = self._server(owner).jobs
        async for event in _events(lambda tell: jobs.execute(ForwardedJob(record, tell), call)):
            yield event

    def check_health(self) -> None:
        """Raise where the device answers no more; Ray Serve asks now and then, and replaces the replica."""
        device_bytes()

    def _server(self, owner: str) -> ContextServer:
        if owner not in self.servers:
            engine = MemoRAG(settings_of(self.settings, owner), shared=self.shared)
            self.servers[owner] = build_server(engine, owner=owner)
        return self.servers[owner]


SPEAKING = {"answer", "summarize"}


def _contexts_in(values: dict[str, Any]) -> list[str]:
    named = values["context_id"]
    return [named] if isinstance(named, str) else list(named)


async def _events(work: Callable[[Tell], object]) -> AsyncIterator[Event]:
    """Do work in a thread; yield what it tells, then its end. Who stops listening stops the work."""
    loop, events, flag = asyncio.get_running_loop(), asyncio.Queue[Event](), StopFlag()

    def tell(kind: Any, value: object) -> None:
        with suppress(RuntimeError):  # the replica ends
            loop.call_soon_threadsafe(events.put_nowait, Event(kind, value))

    def run() -> None:
        try:
            with cancellable(flag):
                tell("result", work(lambda value: tell("told", value)))
        except Exception as error:
            tell("error", error)

    threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True).start()
    try:
        event = Event("alive")
        while event.kind not in {"result", "error"}:
            try:
                event = await asyncio.wait_for(events.get(), SECONDS_BETWEEN_SIGNS)
            except TimeoutError:
                event = Event("alive")
            yield event
    finally:
        flag.set()


def _say(text: str) -> None:
    """To the replica's log, which Ray keeps."""
    sys.stderr.write(f"memorag: {text}\n")
