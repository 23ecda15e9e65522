"""Long work that belongs to the server, not to the request that began it: it outlives its client, and is told about.

    STORE/.work/jobs/
      SERVER.lock      held by a server with jobs for as long as it lives
      JOB.json         what is known of a job; written aside and renamed
      JOB.call         what it was asked to do, until it is done; so it can be begun again after an interruption
      resuming         held for the moment in which an interrupted job is taken over

A job whose record says that it is at work, and whose server's lock nobody holds, was interrupted. It is not begun again
by itself: it may be what its server died of, and nobody may want it any more. Any number of servers share the folder:
each changes the records of its own jobs only, and of those that a dead one left behind.
"""

from __future__ import annotations

import contextvars
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel

from memorag_core.errors import Cancelled, InputError, MemoRAGError, StoreError
from memorag_core.stopping import stoppable
from memorag_mcp.job import AT_WORK, Call, Job, Record, Status, now

AT_ONCE = 64
KEPT = 1000
KEPT_SECONDS = 7 * 24 * 3600
JOIN_SECONDS = 10.0
TAKING_OVER_SECONDS = 5.0
ID_BYTES = 16

Work = Callable[[Job], BaseModel]
Do = Callable[[Call, Job], BaseModel]
OnEnd = Callable[[Record], None]
log = logging.getLogger(__name__)


class UnknownJob(InputError):
    """No job of that id is known here."""


class Jobs:
    """The jobs of one server, over the records that all servers of a store share. Safe between threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = secrets.token_hex(8)
        self._guard = threading.Lock()
        self._live: dict[str, Job] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._lock = FileLock(folder / f"{self.server}.lock", thread_local=False)

    def start(self, what: str, work: Work, on_end: OnEnd) -> Job:
        """Begin work in a thread of its own, with the caller's context variables; `on_end` is called there last.

        Raises:
            InputError: too many jobs are under way.
        """
        record = Record(id=secrets.token_hex(ID_BYTES), server=self.server, pid=os.getpid(), what=what)
        return self._begin(record, work, on_end)

    def start_call(self, what: str, call: Call, do: Do, on_end: OnEnd) -> Job:
        """`start` for work that can be resumed: its call is kept until it is done. Raises what `start` raises."""

        def work(job: Job) -> BaseModel:
            job.record = job.record.model_copy(update={"resumable": self._keep(job.record.id, call)})
            self._save(job.record)
            return do(call, job)

        return self.start(what, work, on_end)

    def resume(self, job_id: str, do: Do, on_end: OnEnd) -> Job:
        """Begin an interrupted job again, from its start, under its id. Of several servers at once, one does.

        Raises:
            UnknownJob: there is none of that id.
            InputError: it is not interrupted, or what it was asked is not kept; or too many jobs are under way.
        """
        try:
            with FileLock(self.folder / "resuming", timeout=TAKING_OVER_SECONDS):
                before = self.record(job_id)
                if before.status != "interrupted":
                    raise InputError(f"The job is {before.status}; only what was interrupted can be resumed.")
                if not self._call_path(job_id).exists():
                    raise InputError("What this job was asked to do is not kept. Call the tool that began it again.")
                facts = before.model_dump(include={"id", "what", "created"})
                record = Record(**facts, server=self.server, pid=os.getpid(), resumable=True)
                return self._begin(record, lambda job: do(self._kept_call(job_id), job), on_end)
        except OSError as error:
            raise StoreError(f"The job cannot be taken over in {self.folder} ({error}). Try again.") from error

    def _begin(self, record: Record, work: Work, on_end: OnEnd) -> Job:
        job = Job(record, self._save)
        arguments = (self._run, job, work, on_end)
        thread = threading.Thread(target=contextvars.copy_context().run, args=arguments, daemon=True)
        with self._guard:
            if len(self._live) >= AT_ONCE:
                raise InputError(f"{AT_ONCE} jobs are under way. Wait until one is done, or cancel one.")
            self._live[record.id], self._threads[record.id] = job, thread
        self._save(record)
        thread.start()
        return job

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
        record = job.record if job else self._read(job_id)
        if record is None:
            raise UnknownJob(
                f"There is no job '{job_id[: 2 * ID_BYTES]}': its id is wrong, or its result was delivered or dropped. "
                "list_contexts shows what is memorized, and the work that is not done."
            )
        return record

    def unfinished(self) -> list[Record]:
        """What is at work, failed or was interrupted, of all servers, the latest first."""
        names = [path.stem for path in self.folder.glob("*.json")] if self.folder.is_dir() else []
        records = [self._live[name].record if name in self._live else self._read(name) for name in names]
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
            record = ended(record, "cancelled", resumable=False)
            self._save(record)
            self._drop_call(job_id)
        return record

    def cancel_asked_by(self, asker: object, request: object) -> None:
        """Stop the job that a client's request began and still waits for."""
        for job in list(self._live.values()):
            if job.asker is not None and job.asker.client is asker and job.asker.request == request:
                job.stop("cancelled")

    def drop(self, job: Job) -> None:
        """Forget a job whose result was delivered."""
        with suppress(OSError):
            self._path(job.record.id).unlink(missing_ok=True)
        self._drop_call(job.record.id)

    def close(self) -> None:
        """Stop all jobs, told as interrupted, and wait a while for them to end."""
        threads = list(self._threads.values())
        for job in list(self._live.values()):
            job.stop("interrupted")
        until = time.monotonic() + JOIN_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        for job in list(self._live.values()):  # in the middle of a step that is longer than we wait
            self._save(ended(job.record, "interrupted"))
        self._lock.release(force=True)

    def _run(self, job: Job, work: Work, on_end: OnEnd) -> None:
        try:
            with stoppable(job.flag):
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
            self._ended(job)
            on_end(job.record)

    def _ended(self, job: Job) -> None:
        if job.record.status == "cancelled" and not job.told:
            self.drop(job)  # who cancelled it never had its id
        elif job.record.status != "interrupted":
            self._drop_call(job.record.id)
        with self._guard:
            del self._live[job.record.id], self._threads[job.record.id]

    def _save(self, record: Record) -> None:
        """Write a record. Where the store cannot be written the work itself will say so."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            if not self._lock.is_locked:
                self._lock.acquire(timeout=0)
                self._prune()
            draft = self.folder / f"{record.id}.tmp"
            draft.write_text(record.model_dump_json(), encoding="utf-8")
            os.replace(draft, self._path(record.id))

    def _read(self, job_id: str) -> Record | None:
        if len(job_id) != 2 * ID_BYTES or not job_id.isalnum():
            return None
        try:
            record = Record.model_validate_json(self._path(job_id).read_bytes())
        except (OSError, ValueError):
            return None
        if record.status in AT_WORK and not self._alive(record.server):
            record = ended(record, "interrupted")
            self._save(record)
        return record

    def _keep(self, job_id: str, call: Call) -> bool:
        """Keep what a job was asked; whether that could be done. A full disk must not keep the work from being done."""
        with suppress(OSError):
            draft = self.folder / f"{job_id}.tmp"
            draft.write_text(call.model_dump_json(), encoding="utf-8")
            os.replace(draft, self._call_path(job_id))
            return True
        return False

    def _kept_call(self, job_id: str) -> Call:
        try:
            return Call.model_validate_json(self._call_path(job_id).read_bytes())
        except ValueError as error:
            raise InputError("What this job was asked to do cannot be read. Call the tool that began it.") from error

    def _drop_call(self, job_id: str) -> None:
        with suppress(OSError):
            self._call_path(job_id).unlink(missing_ok=True)

    def _alive(self, server: str) -> bool:
        lock = self.folder / f"{server}.lock"
        if server == self.server or not lock.exists():
            return False  # ours is not among the live ones, or it left no lock
        try:
            with FileLock(lock, timeout=0):
                return False
        except OSError:
            return True  # Timeout is one: somebody holds it

    def _prune(self) -> None:
        """Drop records that are old or too many, and locks of dead servers."""
        oldest_last = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for number, path in enumerate(oldest_last):
            if number >= KEPT or time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink(missing_ok=True)
                self._drop_call(path.stem)
        for lock in self.folder.glob("*.lock"):
            if lock.stem != self.server and not self._alive(lock.stem):
                lock.unlink(missing_ok=True)

    def _path(self, job_id: str) -> Path:
        return self.folder / f"{job_id}.json"

    def _call_path(self, job_id: str) -> Path:
        return self.folder / f"{job_id}.call"


def ended(record: Record, status: Status, **facts: object) -> Record:
    """What is known of a job that was cancelled or interrupted without its own doing."""
    change = {"status": status, "reason": reason_of(record, status), "updated": now(), "seconds_left": None, **facts}
    return record.model_copy(update=change)


def reason_of(record: Record, status: Status) -> str:
    """Why a job ended that was cancelled or interrupted, and how to begin it again."""
    if status == "cancelled":
        return "It was cancelled; nothing of it was kept."
    again = f"Call resume_memorize with job_id '{record.id}'." if record.resumable else "Call the tool again."
    return f"The server ended before it was done; no context came of it. {again}"
