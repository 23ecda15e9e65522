"""Work on a context of one key: a draft that is not published yet, and what is kept until all of it is done.

    STORE/.work/KEY/
      draft/      the folder that is being written; published by a rename, or deleted
      journal     what is finished of the part that is being made: vectors, then attention keys and the memory
      before/     the context as it was with its memory, where documents were added or removed: hard links
      earlier     the key of the context that these changed before its memory was made, whose journal is read too

A process that dies loses the batch it was at; whoever works on the same key next goes on from there.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from memorag_core.concurrency.cancellation import poll_until
from memorag_core.concurrency.journal import Journal
from memorag_core.config import MANIFEST
from memorag_core.context.atomic_files import link_files, link_tree
from memorag_core.context.manifest import FileEntry, Manifest
from memorag_core.errors import Interrupted, StoreError

SECONDS_KEPT = 7 * 24 * 3600
T = TypeVar("T")
DRAFT, JOURNAL, BEFORE, EARLIER, LOCK = "draft", "journal", "before", "earlier", ".lock"


@contextmanager
def lock_of(path: Path, acquire: Callable[[FileLock], object]) -> Iterator[None]:
    """Hold the lock of the work in a folder, which goes with the folder: else there were one for each text ever read.

    It is removed while it is held; who waited for the removed one notices (filelock sees that no name leads to it), and
    takes the next.
    """
    lock = FileLock(path.with_name(f"{path.name}{LOCK}"))
    acquire(lock)
    try:
        yield
    finally:
        if not path.is_dir():
            with suppress(OSError):  # Windows removes no file that is open; there, filelock does when it is closed
                Path(lock.lock_file).unlink()
        lock.release()


def acquire_now(lock: FileLock) -> None:
    """Take a lock that nobody holds.

    Raises:
        Timeout: somebody does (an `OSError`).
    """
    lock.acquire(timeout=0)


def wait_for(lock: FileLock) -> None:
    """Take a lock; the work can be cancelled while another holds it."""
    poll_until(lambda seconds: _acquire(lock, seconds))


def _acquire(lock: FileLock, seconds: float) -> bool:
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return False
    return True


class WorkFolder:
    """The folder of the work on one key, for the holder of that key's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.linked: dict[str, FileEntry] = {}

    @property
    def draft(self) -> Path:
        """The folder to write the context into."""
        return self.path / DRAFT

    @property
    def before(self) -> Path:
        """What the context was before its documents changed, where its memory was made."""
        return self.path / BEFORE

    def journal(self) -> Journal:
        """What was finished of this work, and of the work on what the context was before."""
        return Journal(self.path / JOURNAL, [other.path / JOURNAL for other in self._earlier()])

    def publish(self) -> None:
        """Take note that all that was finished is published."""
        (self.path / JOURNAL).unlink(missing_ok=True)

    def begin_with(self, place: Path, manifest: Manifest) -> None:
        """Have a draft of the files of the context in `place`, hard links; its manifest is to be written anew."""
        self.draft.rmdir()
        link_tree(place, self.draft)
        (self.draft / MANIFEST).unlink()
        self.linked = dict(manifest.files)

    def take_texts(self, place: Path, manifest: Manifest, before: Manifest, ids: Container[str]) -> None:
        """Link into the draft what some documents of the context in `place` consist of, if it is `before` still."""
        if manifest.reads_as(before):
            staying = (entry.files for entry in manifest.documents if entry.id in ids)
            self.linked = {name: manifest.files[name] for files in staying for name in files}
            link_files(place, self.draft, self.linked)

    def follow(self, place: Path, manifest: Manifest) -> None:
        """Keep what a context in `place` is, which this work's is going to replace."""
        replaced = WorkFolder(self.path.with_name(manifest.key))
        shutil.rmtree(self.before, ignore_errors=True)
        if manifest.ready == "memory":
            link_tree(place, self.before)
        else:
            (self.path / EARLIER).write_text(manifest.key, encoding="utf-8")
            if replaced.before.is_dir():
                link_tree(replaced.before, self.before)

    def load_before(self, load: Callable[[Path, Manifest], T]) -> T | None:
        """Load what the context was before; None where it was nothing, or is of other models than those in use."""
        if not self.before.is_dir():
            return None
        try:
            return load(self.before, Manifest.read(self.before))
        except StoreError:
            return None

    def clear(self) -> None:
        """Delete all, and the work on what the context was before, unless somebody is at that."""
        for other in self._earlier():
            with suppress(OSError), lock_of(other.path, acquire_now):
                shutil.rmtree(other.path, ignore_errors=True)
        shutil.rmtree(self.path, ignore_errors=True)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Have an empty draft. What is finished is kept where the work is to go on later; else it is deleted.

        What the context was before stays in any case: without it, all of its memory would have to be made again.
        """
        self.path.mkdir(exist_ok=True)
        shutil.rmtree(self.draft, ignore_errors=True)
        self.draft.mkdir()
        try:
            yield
        except (Interrupted, KeyboardInterrupt):
            raise
        except BaseException:
            (self.path / JOURNAL).unlink(missing_ok=True)
            raise
        finally:
            self._tidy()

    def sweep(self) -> None:
        """Delete the draft of a dead process; and all, where nobody went on with it for a week."""
        with suppress(OSError):
            if time.time() - self.path.stat().st_mtime > SECONDS_KEPT:
                self.clear()
        self._tidy()

    def _tidy(self) -> None:
        shutil.rmtree(self.draft, ignore_errors=True)
        with suppress(OSError):
            self.path.rmdir()  # where nothing is kept

    def _earlier(self) -> Iterator[WorkFolder]:
        """The work on the contexts that this one's was made of, whose memory was not made when they were changed."""
        folder, seen = self, {self.path.name}
        while (note := folder.path / EARLIER).is_file():
            key = note.read_text(encoding="utf-8")
            if key in seen:
                return
            seen.add(key)
            folder = WorkFolder(self.path.with_name(key))
            yield folder
