"""An engine that waits in the middle of memorizing, and what tests of jobs share besides."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any, ClassVar

import anyio.to_thread
from pydantic import BaseModel
from waits import SECONDS

from memorag_core import MemoRAG, Settings
from memorag_core.concurrency.cancellation import poll_until
from memorag_core.context.edits import Contents
from memorag_core.engine.memorizer import Memorizer
from memorag_core.types import ContextInfo, OnProgress, OnReady, Progress
from memorag_mcp.jobs.call import Call
from memorag_mcp.jobs.job import Job, JobRecord
from memorag_mcp.jobs.manager import Jobs
from memorag_mcp.jobs.shared_records import open_records


class GatedMemorizer(Memorizer):
    """Tells a third of its progress and then waits to be let through."""

    def wait_for(self, engine: Gated) -> None:
        self.engine = engine

    def memorize(self, contents: Contents, name: str | None, on_progress: OnProgress, on_ready: OnReady) -> ContextInfo:
        on_progress(Progress("encoding", 1, 3, 1 / 3))
        self.engine.reached.set()
        poll_until(self.engine.gate.wait)
        if self.engine.error:
            raise self.engine.error
        return super().memorize(contents, name, on_progress, on_ready)


class Gated(MemoRAG):
    """An engine that tells a third of its progress and then waits to be let through."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.reached, self.gate = Event(), Event()
        self.error: Exception | None = None
        self.memorizer = GatedMemorizer(self.store, self.shared, settings.max_characters)
        self.memorizer.wait_for(self)


async def reached(event: Event) -> None:
    assert await anyio.to_thread.run_sync(event.wait, SECONDS)


class Told(BaseModel):
    """A result."""

    text: str = "told"


class Wait(Call):
    """A call whose jobs wait for their gate."""

    tool: ClassVar[str] = "wait"

    @property
    def what(self) -> str:
        return self.tool


def jobs_that_wait(folder: Path, gate: Event, bucket: Any = None) -> Jobs:
    """Jobs of which each `Wait` is done when the gate opens, their records in the folder or a bucket."""
    jobs = Jobs(open_records(folder, bucket))

    @jobs.register(Wait)
    def wait(_: Job, call: Wait) -> Told:
        poll_until(gate.wait)
        return Told(text=call.tool)

    return jobs


def ignore(_: JobRecord) -> None:
    """An `on_end` that does nothing."""
