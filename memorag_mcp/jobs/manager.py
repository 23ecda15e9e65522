"""Long work that belongs to the server, not to the request that began it: it outlives its client, and is told about.

What outlives the server too are its records. A job that was interrupted with its server is not begun again by itself:
it may be what the server died of, and nobody may want it any more. It is told, and resumed when that is asked for.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from memorag_core.concurrency.cancellation import cancellable
from memorag_core.errors import Cancelled, InputError, MemoRAGError
from memorag_mcp.jobs.job import AT_WORK, Call, Job, Record, ended, reason_of
from memorag_mcp.jobs.records import ID_BYTES, Records

AT_ONCE = 64
JOIN_SECONDS = 10.0

Work = Callable[[Job], BaseModel]
Do = Callable[[Call, Job], BaseModel]
OnEnd = Callable[[Record], None]
log = logging.getLogger(__name__)


class UnknownJob(InputError):
    """No job of that id is known here."""


class Jobs:
    """The jobs of one server, over the records that all servers of a store share. Safe between threads."""

    def __init__(self, folder: Path) -> None:
        self.records = Records(folder)
        self._guard = threading.Lock()
        self._live: dict[str, Job] = {}
        self._threads: dict[str, threading.Thread] = {}

    def start(self, what: str, work: Work, on_end: OnEnd, recorded: bool = True) -> Job:
        """Begin work in a thread of its own, with the caller's context variables; `on_end` is called there last.

        What is not recorded is known to who began it only, and forgotten with its server.

        Raises:
            InputError: too many jobs are under way.
        """
        save = self.records.save if recorded else ignore_record
        return self._begin(Job(self.records.new(what), save), work, on_end)

    def start_call(self, what: str, call: Call, do: Do, on_end: OnEnd) -> Job:
        """`start` for work that can be resumed: its call is kept until it is done. Raises what `start` raises."""

        def work(job: Job) -> BaseModel:
            job.note(resumable=self.records.keep_call(job.record.id, call))
            job.save()
            return do(call, job)

        return self.start(what, work, on_end)

    def resume(self, job_id: str, do: Do, on_end: OnEnd) -> Job:
        """Begin an interrupted job again, from its start, under its id. Of several servers at once, one does.

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
            job = Job(self.records.again(before), self.records.save)
            return self._begin(job, lambda job: do(self.records.call(job_id), job), on_end)

    @property
    def at_work(self) -> int:
        """How many are under way."""
        return len(self._live)

    def find(self, job_id: str) -> Job | None:
        """A job of this server that is under way."""
        return self._live.get(job_id)

    def record(self, job_id: str) -> Record:
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

    def unfinished(self) -> list[Record]:
        """What is at work, failed or was interrupted, of all servers, the latest first."""
        names = self.records.ids()
        records = [job.record if (job := self.find(name)) else self.records.read(name) for name in names]
        told = [record for record in records if record and record.status not in {"completed", "cancelled"}]
        return sorted(told, key=lambda record: record.updated, reverse=True)

    def cancel(self, job_id: str) -> Record:
        """Stop a job; it ends within a window of its work. An interrupted one is given up, one that has ended let be.

        Raises:
            UnknownJob: there is none of that id.
            InputError: it belongs to another server that is alive.
        """
        if job := self.find(job_id):
            job.stop("cancelled")
            return job.record
        record = self.record(job_id)
        if record.status in AT_WORK:
            raise InputError(f"The job is another server's on this store (process {record.pid}). Cancel it there.")
        if record.status == "interrupted":
            record = ended(record, "cancelled")
            self.records.save(record)
            self.records.drop_call(job_id)
        return record

    def cancel_asked_by(self, asker: object, request: object) -> None:
        """Stop the job that a client's request began and still waits for."""
        for job in list(self._live.values()):
            if job.asker is not None and job.asker.client is asker and job.asker.request == request:
                job.stop("cancelled")

    def drop(self, job: Job) -> None:
        """Forget a job whose result was delivered."""
        self.records.drop(job.record.id)

    def close(self) -> None:
        """Stop all jobs, told as interrupted, and wait a while for them to end."""
        threads = list(self._threads.values())
        for job in list(self._live.values()):
            job.stop("interrupted")
        until = time.monotonic() + JOIN_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        for job in list(self._live.values()):  # in the middle of a step that is longer than we wait
            job.record = ended(job.record, "interrupted")
            job.save()
        self.records.close()

    def _begin(self, job: Job, work: Work, on_end: OnEnd) -> Job:
        arguments = (self._run, job, work, on_end)
        thread = threading.Thread(target=contextvars.copy_context().run, args=arguments, daemon=True)
        with self._guard:
            if len(self._live) >= AT_ONCE:
                raise InputError(f"{AT_ONCE} jobs are under way. Wait until one is done, or cancel one.")
            self._live[job.record.id], self._threads[job.record.id] = job, thread
        job.save()
        thread.start()
        return job

    def _run(self, job: Job, work: Work, on_end: OnEnd) -> None:
        try:
            with cancellable(job.flag):
                result = work(job)
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


def ignore_record(_: Record) -> None:
    """For jobs that are not recorded."""
