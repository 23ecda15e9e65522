"""What is known of jobs, in the bucket that the servers of several machines share.

URL/jobs/
  SERVER.alive     put anew every few seconds by a server with jobs, as long as it lives
  JOB.json, JOB.call    as in a folder
  JOB.cancel       put by another server, for the job's own
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from memorag_core.context.leases import hold_lease
from memorag_core.context.versions import list_objects
from memorag_mcp.jobs.records import KEPT_SECONDS, Records

if TYPE_CHECKING:
    from obstore.store import ObjectStore

JOBS = "jobs/"
SECONDS_BETWEEN_BEATS = 5.0
SECONDS_TO_LIVE = 60.0
"""Longer than what clocks may differ by."""


def open_records(folder: Path, bucket: ObjectStore | None) -> Records:
    """Open the records of a store: in its folder, or in the bucket that it shares."""
    return Records(folder) if bucket is None else SharedRecords(folder, bucket)


class SharedRecords(Records):
    """The records in a bucket, as one server reads and writes them."""

    def __init__(self, folder: Path, bucket: ObjectStore) -> None:
        super().__init__(folder)
        self._bucket = bucket
        self._ended = threading.Event()
        self._heart: threading.Thread | None = None

    def ask_to_cancel(self, job_id: str) -> bool:
        """Have the server of a job cancel it, in some seconds."""
        with suppress(OSError):
            self._put(f"{job_id}.cancel", "cancel")
            return True
        return False

    @contextmanager
    def taking_over(self) -> Iterator[None]:
        """Of all servers of the store, one at a time is inside. Raises `StoreError` as over a folder."""
        with hold_lease(self._bucket, "the bucket of jobs", "resuming"):
            yield

    def close(self) -> None:
        """This server has no jobs any more."""
        self._ended.set()
        if self._heart is not None:
            self._heart.join()
            with suppress(OSError):
                self._delete(f"{self.server}.alive")

    def _tell_alive(self) -> None:
        with self._guard:
            if self._heart is None:
                self._put(f"{self.server}.alive", "")
                self._prune()
                self._heart = threading.Thread(target=self._beat, daemon=True)
                self._heart.start()

    def _beat(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_BEATS):
            with suppress(OSError):  # the next time may do
                self._put(f"{self.server}.alive", "")
                for job_id in self._stems("cancel"):
                    if self.on_cancel(job_id):
                        self._delete(f"{job_id}.cancel")

    def _alive(self, server: str) -> bool:
        with suppress(OSError), _as_os_errors():
            return server != self.server and _age(self._bucket.head(f"{JOBS}{server}.alive")["last_modified"]) < (
                SECONDS_TO_LIVE
            )
        return False

    def _prune(self) -> None:
        """Drop what is old."""
        with _as_os_errors():
            for one in list(list_objects(self._bucket, JOBS)):
                if _age(one["last_modified"]) > KEPT_SECONDS:
                    self._bucket.delete(one["path"])

    def _stems(self, ending: str) -> list[str]:
        with _as_os_errors():
            paths = [one["path"] for one in list_objects(self._bucket, JOBS)]
        return [Path(path).stem for path in paths if path.endswith(f".{ending}")]

    def _get(self, name: str) -> bytes:
        with _as_os_errors():
            return bytes(self._bucket.get(JOBS + name).bytes())

    def _put(self, name: str, text: str) -> None:
        with _as_os_errors():
            self._bucket.put(JOBS + name, text.encode())

    def _delete(self, name: str) -> None:
        with _as_os_errors(), suppress(FileNotFoundError):
            self._bucket.delete(JOBS + name)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Raise failures of the bucket as those of a disk, which are handled where records are read and written."""
    from obstore.exceptions import BaseError

    try:
        yield
    except BaseError as error:
        raise OSError(str(error).split("\n")[0]) from error


def _age(at: datetime) -> float:
    return (datetime.now(UTC) - at).total_seconds()
