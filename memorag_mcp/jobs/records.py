"""What is known of jobs on disk, shared by all servers of a store.

    STORE/.work/jobs/
      SERVER.lock      held by a server with jobs for as long as it lives
      JOB.json         what is known of a job; written aside and renamed
      JOB.call         what it was asked to do, until it is done, so that it can be begun again after an interruption
      resuming         held for the moment in which an interrupted job is taken over

A job whose record says that it is at work, and whose server's lock nobody holds, was interrupted. Each server changes
the records of its own jobs only, and of those that a dead one left behind.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from memorag_core.errors import InputError, StoreError
from memorag_mcp.jobs.call import Call, KeptCall
from memorag_mcp.jobs.job import AT_WORK, JobRecord, end_record

KEPT = 1000
KEPT_SECONDS = 7 * 24 * 3600
TAKING_OVER_SECONDS = 5.0
ID_BYTES = 16


class Records:
    """The records of a store's jobs, as one server reads and writes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = secrets.token_hex(8)
        self.on_cancel: Callable[[str], object] = lambda job_id: None
        self._lock = FileLock(folder / f"{self.server}.lock", thread_local=False)
        self._guard = threading.Lock()

    def new(self, what: str) -> JobRecord:
        """A record of a job of this server's, not yet saved."""
        return JobRecord(id=secrets.token_hex(ID_BYTES), server=self.server, pid=os.getpid(), what=what)

    def again(self, record: JobRecord) -> JobRecord:
        """A record of an interrupted job that this server does again."""
        facts = record.model_dump(include={"id", "what", "created"})
        return JobRecord(**facts, server=self.server, pid=os.getpid(), resumable=True)

    def ids(self) -> list[str]:
        """The ids of all jobs that are recorded."""
        return self._stems("json")

    def save(self, record: JobRecord) -> None:
        """Write a record. Where the store cannot be written the work itself will say so."""
        with suppress(OSError):
            self._tell_alive()
            self._put(f"{record.id}.json", record.model_dump_json())

    def read(self, job_id: str) -> JobRecord | None:
        """What is known of a job; None where nothing is."""
        if len(job_id) != 2 * ID_BYTES or not job_id.isalnum():
            return None
        try:
            record = JobRecord.model_validate_json(self._get(f"{job_id}.json"))
        except (OSError, ValueError):
            return None
        if record.status in AT_WORK and not self._alive(record.server):
            record = end_record(record, "interrupted")
            self.save(record)
        return record

    def drop(self, job_id: str) -> None:
        """Forget a job and what it was asked."""
        with suppress(OSError):
            self._delete(f"{job_id}.json")
        self.drop_call(job_id)

    def keep_call(self, job_id: str, call: Call) -> bool:
        """Keep what a job was asked; whether that could be done. A full disk must not keep the work from being done."""
        kept = KeptCall(tool=call.tool, arguments=call.model_dump(mode="json"))
        with suppress(OSError):
            self._put(f"{job_id}.call", kept.model_dump_json())
            return True
        return False

    def has_call(self, job_id: str) -> bool:
        """Whether what a job was asked is kept."""
        try:
            return bool(self._get(f"{job_id}.call"))
        except OSError:
            return False

    def call(self, job_id: str, kinds: Mapping[str, type[Call]]) -> Call:
        """What a job was asked, as the kind of call that its tool takes.

        Raises:
            InputError: it cannot be read, or no tool takes it.
        """
        try:
            kept = KeptCall.model_validate_json(self._get(f"{job_id}.call"))
            return kinds[kept.tool].model_validate(kept.arguments)
        except (OSError, ValueError, KeyError) as error:
            raise InputError("What this job was asked to do cannot be read. Call the tool that began it.") from error

    def drop_call(self, job_id: str) -> None:
        """Forget what a job was asked."""
        with suppress(OSError):
            self._delete(f"{job_id}.call")

    @contextmanager
    def taking_over(self) -> Iterator[None]:
        """Of all servers of the store, one at a time is inside.

        Raises:
            StoreError: the store cannot be written, or another one stays inside.
        """
        try:
            with FileLock(self.folder / "resuming", timeout=TAKING_OVER_SECONDS):
                yield
        except OSError as error:
            raise StoreError(f"The job cannot be taken over in {self.folder} ({error}). Try again.") from error

    def close(self) -> None:
        """This server has no jobs any more."""
        if self._lock.is_locked:
            with suppress(OSError):  # Windows removes no file that is open; filelock does, closed
                Path(self._lock.lock_file).unlink()
        self._lock.release(force=True)

    def ask_to_cancel(self, job_id: str) -> bool:
        """Have the server of a job cancel it; whether it can be reached. Over a folder it cannot."""
        return False

    def _tell_alive(self) -> None:
        """Hold this server's lock from its first record on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._guard:  # jobs begin in threads, and a lock that is being taken is not free to the next one
            if self._lock.is_locked:
                return
            self._lock.acquire(timeout=0)
            with suppress(OSError):  # another server may be pruning too
                self._prune()

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
                self.drop(path.stem)
        for lock in self.folder.glob("*.lock"):
            if lock.stem != self.server and not self._alive(lock.stem):
                lock.unlink(missing_ok=True)

    def _stems(self, ending: str) -> list[str]:
        """The names of all files of an ending, without it."""
        return [path.stem for path in self.folder.glob(f"*.{ending}")] if self.folder.is_dir() else []

    def _get(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def _put(self, name: str, text: str) -> None:
        draft = self.folder / f"{name}.tmp"
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, self.folder / name)

    def _delete(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)
