"""Long work that belongs to the server, not to the request that began it: it outlives its client, and is told about.

What outlives the server too are its records. A job that was interrupted with its server is not begun again by itself:
it may be what the server died of, and nobody may want it any more. It is told, and resumed when that is asked for.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel

from memorag_core.concurrency.cancellation import cancellable
from memorag_core.errors import Cancelled, InputError, MemoRAGError
from memorag_mcp.jobs.call import Call
from memorag_mcp.jobs.job import AT_WORK, Asker, Job, JobRecord, end_record, ignore_record, reason_of
from memorag_mcp.jobs.records import ID_BYTES, Records

JOBS_AT_ONCE = 64
JOIN_SECONDS = 10.0

C = TypeVar("C", bound=Call)
Handler = Callable[[Job, C], BaseModel]
OnEnd = Callable[[JobRecord], None]
log = logging.getLogger(__name__)


class UnknownJob(InputError):
    """No job of that id is known here."""


class Jobs:
    """The jobs of one server, over the records that all servers of a store share. Safe between threads.

    `execute` does a job's work: the handler registered for it, unless another machine does.
    """

    def __init__(self, records: Records) -> None:
        self.records = records
        records.on_cancel = self._stop_here
        self._guard = threading.Lock()
        self._live: dict[str, Job] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._handlers: dict[type[Call], Handler[Any]] = {}
        self._expected: list[Asker] = []
        self.execute: Callable[[Job, Call], BaseModel] = self._execute_here

    def register(self, kind: type[C]) -> Callable[[Handler[C]], Handler[C]]:
        """Register what the jobs of a kind of call do."""

        def enter(handler: Handler[C]) -> Handler[C]:
            self._handlers[kind] = handler
            return handler

        return enter

    def begin(self, call: Call, on_end: OnEnd, again: JobRecord | None = None) -> Job:
        """Do a call in a thread of its own, with the caller's context variables; `on_end` is called there last, and
        when a part of the result can be used.

        A recorded call is kept until it is done, so that it can be resumed; `again` is the record of one that is.
        Files are written and locked here, so an event loop has this done in a thread.

        Raises:
            InputError: too many jobs are under way.
        """
        job = Job(again or self.records.new(call.what), self.records.save if call.recorded else ignore_record)
        job.on_publish = on_end
        with self._guard:
            if len(self._live) >= JOBS_AT_ONCE:
                raise InputError(f"{JOBS_AT_ONCE} jobs are under way. Wait until one is done, or cancel one.")
            self._live[job.record.id] = job
        job.save()
        if call.recorded and again is None:
            job.note(resumable=self.records.keep_call(job.record.id, call))
            job.save()
        arguments = (self._run, job, call, on_end)
        thread = threading.Thread(target=contextvars.copy_context().run, args=arguments, daemon=True)
        with self._guard:
            self._threads[job.record.id] = thread
            thread.start()
        return job

    def resume(self, job_id: str, on_end: OnEnd) -> Job:
        """Begin an interrupted job again, under its id. Of several servers at once, one does.

        Raises:
            UnknownJob: there is none of that id.
            InputError: it is not interrupted, or what it was asked is not kept; or too many jobs are under way.
            StoreError: the store cannot be written.
        """
        with self.records.taking_over():
            before = self.record(job_id)
            if before.status != "interrupted":
                raise InputError(f"The job is {before.status}; only what was interrupted can be resumed.")
            if not self.records.has_call(job_id):
                raise InputError("What this job was asked to do is not kept. Call the tool that began it again.")
            call = self.records.call(job_id, {kind.tool: kind for kind in self._handlers})
            return self.begin(call, on_end, self.records.again(before))

    @property
    def at_work(self) -> int:
        """How many are under way."""
        return len(self._live)

    def find(self, job_id: str) -> Job | None:
        """A job of this server that is under way."""
        return self._live.get(job_id)

    def record(self, job_id: str) -> JobRecord:
        """What is known of a job, of this server or of any other of the store.

        Raises:
            UnknownJob: there is none of that id.
        """
        job = self.find(job_id)
        record = job.record if job else self.records.read(job_id)
        if record is None:
            raise UnknownJob(
                f"There is no job '{job_id[: 2 * ID_BYTES]}': its id is wrong, or its result was delivered or dropped. "
                "list_contexts shows what is memorized, and the work that is not done."
            )
        return record

    def unfinished(self) -> list[JobRecord]:
        """What is at work, failed or was interrupted, of all servers, the latest first."""
        names = self.records.ids()
        records = [job.record if (job := self.find(name)) else self.records.read(name) for name in names]
        told = [record for record in records if record and record.status not in {"completed", "cancelled"}]
        return sorted(told, key=lambda record: record.updated, reverse=True)

    def cancel(self, job_id: str) -> JobRecord:
        """Stop a job; it ends within a window of its work. An interrupted one is given up, one that has ended let be.

        Raises:
            UnknownJob: there is none of that id.
            InputError: it belongs to another server that is alive and cannot be told.
        """
        if job := self.find(job_id):
            job.stop("cancelled")
            return job.record
        record = self.record(job_id)
        if record.status in AT_WORK and not self.records.ask_to_cancel(job_id):
            raise InputError(f"The job is another server's on this store (process {record.pid}). Cancel it there.")
        if record.status == "interrupted":
            record = end_record(record, "cancelled")
            self.records.save(record)
            self.records.drop_call(job_id)
        return record

    @contextmanager
    def expecting(self, asker: Asker) -> Iterator[None]:
        """Notice a cancel of a request whose job is about to begin elsewhere. For the event loop."""
        self._expected.append(asker)
        try:
            yield
        finally:
            self._expected.remove(asker)

    def cancel_asked_by(self, client: object, request: object) -> None:
        """Stop the job that a client's request began, or is about to, and still waits for. For the event loop."""
        for asker in self._expected:
            asker.cancelled |= asker.matches(client, request)
        for job in list(self._live.values()):
            if job.asker is not None and job.asker.matches(client, request):
                job.stop("cancelled")

    def drop(self, job: Job) -> None:
        """Forget a job whose result was delivered."""
        self.records.drop(job.record.id)

    def close(self) -> None:
        """Stop all jobs, told as interrupted, and wait a while for them to end."""
        with self._guard:
            threads = list(self._threads.values())
        for job in list(self._live.values()):
            job.stop("interrupted")
        until = time.monotonic() + JOIN_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        for job in list(self._live.values()):  # in the middle of a step that is longer than we wait
            job.record = end_record(job.record, "interrupted")
            job.save()
        self.records.close()

    def _stop_here(self, job_id: str) -> bool:
        """Stop a job that another server was asked to cancel; whether it is this server's."""
        job = self.find(job_id)
        if job:
            job.stop("cancelled")
        return job is not None

    def _execute_here(self, job: Job, call: Call) -> BaseModel:
        return self._handlers[type(call)](job, call)

    def _run(self, job: Job, call: Call, on_end: OnEnd) -> None:
        try:
            with cancellable(job.flag):
                result = self.execute(job, call)
            job.end("completed", result=result.model_dump(mode="json"))
        except Cancelled:
            job.end(job.stopped_as, reason=reason_of(job.record, job.stopped_as))
        except MemoRAGError as error:
            job.end("failed", reason=str(error))
        except OSError as error:
            told = f"The operating system refused that: {error}. Check paths, permissions and space."
            job.end("failed", reason=told)
        except Exception as error:
            log.exception("the job '%s' broke", job.record.what)
            job.end("failed", reason=f"Broken by {type(error).__name__}; the server's log has more.", broken=True)
        finally:
            self._end(job)
            on_end(job.record)

    def _end(self, job: Job) -> None:
        if job.record.status == "cancelled" and not job.told:
            self.drop(job)  # who cancelled it never had its id
        elif job.record.status != "interrupted":
            self.records.drop_call(job.record.id)
        with self._guard:
            del self._live[job.record.id], self._threads[job.record.id]
