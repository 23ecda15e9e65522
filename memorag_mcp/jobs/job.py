"""One job: what is known of it, how it tells progress, how it is stopped, how it asks its client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from memorag_core.concurrency.cancellation import StopFlag, poll_until, raise_if_cancelled
from memorag_core.types import Progress

Status = Literal["working", "input_required", "completed", "failed", "cancelled", "interrupted"]
AT_WORK: frozenset[Status] = frozenset({"working", "input_required"})
SECONDS_BETWEEN_REPORTS = 0.25
SECONDS_BETWEEN_SAVES = 5.0


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JobRecord(BaseModel):
    """What is known of a job, as it is kept on disk. `fraction` only ever grows; times are ISO 8601 in UTC.

    `resumable`: its call is kept too. `published`: how far it was when a part of its `result` could be used already.
    """

    id: str
    server: str
    pid: int
    what: str
    created: str = Field(default_factory=now)
    updated: str = Field(default_factory=now)
    status: Status = "working"
    stage: str = "waiting"
    fraction: float = 0.0
    seconds_left: float | None = None
    reason: str | None = None
    broken: bool = False
    resumable: bool = False
    published: float | None = None
    result: dict[str, Any] | None = None


def ignore_record(_: JobRecord) -> None:
    """For jobs that are not recorded, or of which nobody is to hear."""


def end_record(record: JobRecord, status: Status) -> JobRecord:
    """What is known of a job that ended as `status` without its own doing."""
    change = {"status": status, "reason": reason_of(record, status), "updated": now(), "seconds_left": None}
    return record.model_copy(update=change)


def reason_of(record: JobRecord, status: Status) -> str:
    """Why a job ended that was cancelled or interrupted, and how to begin it again."""
    if status == "cancelled":
        left = (
            "the context can be asked, and has no memory" if record.published is not None else "nothing of it was kept"
        )
        return f"It was cancelled; {left}."
    again = f"Call resume_memorize with job_id '{record.id}'." if record.resumable else "Call the tool again."
    left = (
        "the context can be asked, and has no memory yet" if record.published is not None else "no context came of it"
    )
    return f"The server ended before it was done; {left}. {again}"


def has_ended(record: JobRecord) -> bool:
    """Whether a job has ended, in whatever way."""
    return record.status not in AT_WORK


def is_usable(record: JobRecord) -> bool:
    """Whether a part of the result can be used, or the job has ended."""
    return record.published is not None or has_ended(record)


def time_left_text(record: JobRecord) -> str:
    """How long a job may take yet, for people, behind a comma; empty where that cannot be told."""
    return f", about {_duration(record.seconds_left)} left" if record.seconds_left else ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@dataclass(eq=False, slots=True)
class Asker:
    """The request that waits for a job: an object that stands for its connection, and its id there.

    `cancelled`: its client took it back before the job had begun.
    """

    client: object
    request: object
    cancelled: bool = False

    def matches(self, client: object, request: object) -> bool:
        """Whether it is that request of that client."""
        return self.client is client and self.request == request


class Job:
    """Work under way. Its thread reports and asks; others read `record`, stop it and answer."""

    def __init__(self, record: JobRecord, save: Callable[[JobRecord], None]) -> None:
        self.record = record
        self.flag = StopFlag()
        self.asker: Asker | None = None
        self.told = False
        self.on_publish: Callable[[JobRecord], None] = ignore_record
        self.stopped_as: Status = "cancelled"
        self.questions: dict[str, Any] = {}
        self._answers: dict[str, Any] = {}
        self._answered = threading.Event()
        self._save = save
        self._watchers: list[Callable[[], None]] = []
        self._reported_at = self._saved_at = self._heard = 0.0
        self._began: tuple[float, float] | None = None

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return has_ended(self.record)

    def report(self, progress: Progress) -> None:
        """An `OnProgress` of the engine: takes note, now and then, and stops the work where that was asked."""
        raise_if_cancelled()
        at = time.monotonic()
        self._heard = progress.fraction
        due = at - self._reported_at >= SECONDS_BETWEEN_REPORTS or progress.fraction >= 1
        if not due or progress.fraction < self.record.fraction:
            return
        self._reported_at = at
        self.note(stage=progress.stage, fraction=progress.fraction, seconds_left=self._time_left(at, progress.fraction))
        if at - self._saved_at >= SECONDS_BETWEEN_SAVES:
            self._saved_at = at
            self._save(self.record)

    def publish(self, result: BaseModel) -> None:
        """Take note of a result that can be used while the work on it goes on."""
        self.note(result=result.model_dump(mode="json"), published=self._heard)
        self._began = None  # what follows goes at a pace of its own
        self.save()
        self.on_publish(self.record)

    def save(self) -> None:
        """Have what is known of it now recorded."""
        self._save(self.record)

    def ask(self, questions: Mapping[str, Any]) -> dict[str, Any]:
        """Wait for the client's answers to requests of the protocol, by key. Clients with Tasks only."""
        self._answers, self.questions = {}, dict(questions)
        self._answered.clear()
        self.note(status="input_required")
        poll_until(self._answered.wait)
        self.note(status="working")
        return self._answers

    def answer(self, answers: Mapping[str, Any]) -> None:
        """Take answers to what was asked; other keys are ignored."""
        for key in [key for key in answers if key in self.questions]:
            self._answers[key] = answers[key]
            del self.questions[key]
        if self._answers and not self.questions:
            self._answered.set()

    def stop(self, how: Status) -> None:
        """Make the work stop at its next step, to be told as `how`."""
        self.stopped_as = how
        self.flag.later = how == "interrupted"
        self.flag.set()

    def end(self, status: Status, **facts: Any) -> None:
        """Take note of how it ended."""
        whole = {"fraction": 1.0} if status == "completed" else {}
        self.record = self.record.model_copy(update={"seconds_left": None, **whole, **facts})
        record = self.record.model_copy(update={"status": status, "updated": now()})
        self._save(record)
        self.record = record
        self._wake()

    @contextmanager
    def watch(self, wake: Callable[[], None]) -> Iterator[None]:
        """Call `wake`, in the thread of the work, whenever the record has changed."""
        self._watchers.append(wake)
        try:
            yield
        finally:
            self._watchers.remove(wake)

    def note(self, **change: Any) -> None:
        """Take note of what is known now, and wake who waits for it."""
        self.record = self.record.model_copy(update={**change, "updated": now()})
        self._wake()

    def _wake(self) -> None:
        for wake in tuple(self._watchers):
            with suppress(RuntimeError):  # the watcher's event loop has ended with its client
                wake()

    def _time_left(self, at: float, fraction: float) -> float | None:
        """Seconds to go, from the pace since the first progress; loading and waiting do not count."""
        if fraction <= 0:
            return None
        self._began = self._began or (at, fraction)
        began, first = self._began
        return None if fraction <= first else (at - began) * (1 - fraction) / (fraction - first)
