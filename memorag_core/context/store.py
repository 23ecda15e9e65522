"""Contexts on disk: one folder each, written aside and renamed into place, locked across processes.

    STORE/
      ID/                    a context: manifest.json, documents/, and the files of its memory and its index
      .work/KEY/             work on a context of that key by the holder of KEY's lock (`work.py`)
      .work/KEY.lock         held while the context of that key is memorized; there as long as its folder is
      .work/of=ID.lock       held, and there, while documents are added to a context or removed from it
      .work/aside=ID/        what a context was before such a change, for the moment between two renames
      .work/store.lock       held while names are given or taken away, and during those renames

`manifest.json` is the last file written before the rename. A folder with texts and no manifest is a damaged context.
No system swaps two folders at once: the old one is set aside, the new one takes its place, the old one is deleted.
Whoever gets the store's lock and finds one set aside knows that its writer was killed; it goes back where its place
is empty, and is deleted where it is not. A reader that finds a gap, or half of each, looks again under that lock.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock

from memorag_core.config import DOCUMENTS, MANIFEST, WORK
from memorag_core.context.atomic_files import flush, link_tree, recover, replace_folder, replace_manifest, seal
from memorag_core.context.disk_errors import translate_errors
from memorag_core.context.manifest import Manifest
from memorag_core.context.work import LOCK, WorkFolder, acquire_now, lock_of, wait_for
from memorag_core.errors import ContextExists, DamagedContext, MemoRAGError, UnknownContext, quote_name
from memorag_core.text.ids import slug, slug_or, unique

if TYPE_CHECKING:
    from obstore.store import ObjectStore

ASIDE = "aside="
STORE_LOCK = f"store{LOCK}"
LEFTOVERS = ("copy-*", "forgotten-*")
T = TypeVar("T")


class ContextStore:
    """A folder of contexts, safe for any number of threads and processes at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bucket: ObjectStore | None = None

    def ids(self) -> list[str]:
        """Sorted ids, including contexts that lost their manifest, excluding those still being written."""
        in_place = self._in_place()
        return sorted(in_place | self._set_aside() | self._in_place())  # twice: one may be moving there just now

    def folder(self, context_id: str) -> Path:
        """The folder of a context.

        Raises:
            UnknownContext: there is none of that id; names those there are.
        """
        if context_id not in self._names() or not self._is_context(context_id):
            raise self._unknown(context_id)
        return self.root / context_id

    def manifest(self, context_id: str) -> Manifest:
        """The manifest of a context, its files not verified."""
        return self.reading(context_id, lambda folder, manifest: manifest)

    def check(self, context_id: str) -> Manifest:
        """The manifest of a context, each of its files being there and of its size. Raises as `reading`."""
        return self.reading(context_id, lambda folder, manifest: manifest.check_sizes(folder))

    def reading(self, context_id: str, read: Callable[[Path, Manifest], T]) -> T:
        """Call `read` with a context's folder and the manifest that belongs to it, and return its result.

        Raises:
            UnknownContext: there is none of that id.
            StoreError: it is damaged, and not only being replaced at this moment.
        """
        try:
            return self._read(context_id, read)
        except (UnknownContext, DamagedContext):
            if not (self.root / WORK).is_dir() or not os.access(self.root / WORK, os.W_OK):
                raise  # nobody can be replacing anything
        with translate_errors(self.root), self._naming():
            return self._read(context_id, read)

    def find(self, key: str) -> list[str]:
        """Ids of the undamaged contexts with that key."""
        found = []
        for context_id in self.ids():
            try:
                if self._glance(context_id).key == key:
                    self.reading(context_id, lambda folder, manifest: manifest.verify(folder))
                    found.append(context_id)
            except MemoRAGError:
                continue  # damaged or forgotten meanwhile: no cache hit, and asking for it by name says why
        return found

    @contextmanager
    def writing(self, key: str) -> Iterator[WorkFolder]:
        """A folder to write the context of `key` in, while no other process does.

        Raises:
            StoreFull: the device ran out of space; nothing is left of the attempt.
            StoreError: the store cannot be written.
        """
        work = WorkFolder(self.root / WORK / key)
        with translate_errors(self.root), self._lock(key), work.open():
            yield work

    def publish(self, work: WorkFolder, manifest: Manifest, name: str | None) -> str:
        """Seal a written folder (checksums, manifest, flush to disk) and move it into place; returns its id.

        Raises:
            ContextExists: `name` was taken meanwhile by other contents.
        """
        seal(work.draft, manifest, work.linked)
        with self._naming():
            context_id = self._free_id(name, manifest.title)
            os.replace(work.draft, self.root / context_id)
            flush(self.root)
        work.publish()
        return context_id

    @contextmanager
    def changing(self, context_id: str) -> Iterator[None]:
        """Hold a context while its documents change, so that every change starts from what the one before it left."""
        self.manifest(context_id)
        with translate_errors(self.root), self._lock(f"of={context_id}"):
            yield

    def replace(self, context_id: str, work: WorkFolder, manifest: Manifest, before: Manifest) -> bool:
        """Seal a written folder and put it in the place of a context; whether it had the documents of `before` still.

        Raises:
            UnknownContext: it was forgotten meanwhile.
        """
        sealed = seal(work.draft, manifest, work.linked)
        with self._naming():
            stored = self._read(context_id, lambda folder, stored: stored)
            if not stored.reads_as(before):
                return False
            if manifest.ready == "evidence":
                work.follow(self.root / context_id, stored)
            elif stored.sources != sealed.sources or stored.documents != sealed.documents:  # described meanwhile
                replace_manifest(work.draft, sealed.with_places_of(stored), work.path / MANIFEST)
            replace_folder(self.root / context_id, work.draft, self._aside(context_id))
        if manifest.ready == "evidence":
            work.publish()
        return True

    def describe(self, context_id: str, manifest: Manifest) -> Manifest:
        """Tell where a context's documents are from as a manifest does that reads as the stored one; returns that."""
        with translate_errors(self.root), self._naming():
            stored = self._read(context_id, lambda folder, stored: stored)
            if stored.reads_as(manifest):
                stored = stored.with_places_of(manifest)
                replace_manifest(self.root / context_id, stored, self.root / WORK / MANIFEST)
            return stored

    def copy(self, context_id: str, name: str, key: str) -> str:
        """Give the context of that key a second name; its files are shared by hard links where the disk can.

        Raises:
            UnknownContext: it was forgotten or changed meanwhile.
        """
        draft = self.root / WORK / f"copy-{os.getpid()}-{slug(name)}"
        with translate_errors(self.root), self._naming():
            shutil.rmtree(draft, ignore_errors=True)
            source = self.folder(context_id)
            if Manifest.read(source).key != key:
                raise UnknownContext(f"The context '{context_id}' holds other texts since a moment ago.")
            new_id = self._free_id(name, name)
            try:
                link_tree(source, draft)
                os.replace(draft, self.root / new_id)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        return new_id

    def forget(self, context_id: str) -> None:
        """Remove a context, damaged or not.

        Raises:
            UnknownContext: there is none of that id.
            StoreError: the files could not be removed.
        """
        with translate_errors(self.root), self._naming():
            grave = self.root / WORK / f"forgotten-{os.getpid()}-{context_id}"
            os.replace(self.folder(context_id), grave)
            with suppress(MemoRAGError, OSError):
                key = Manifest.read(grave).key
                with lock_of(self.root / WORK / key, acquire_now):
                    WorkFolder(self.root / WORK / key).clear()
            shutil.rmtree(grave)

    def sweep(self) -> None:
        """Clear what interrupted writers left behind; what a live one holds, or may only be read, is let be."""
        work = self.root / WORK
        if not work.is_dir():
            return
        with suppress(OSError), FileLock(work / STORE_LOCK, timeout=0):
            self._clear_leftovers()
        for lock in work.glob(f"*{LOCK}"):
            if lock.name != STORE_LOCK:
                with suppress(OSError), lock_of(work / lock.stem, acquire_now):
                    WorkFolder(work / lock.stem).sweep()

    def check_name(self, name: str, key: str) -> str | None:
        """The id a wanted name stands for if it holds the context of `key` already, None if it is free.

        Raises:
            ContextExists: it holds something else.
        """
        context_id = slug(name)
        if not self._is_taken(context_id):
            return None
        if context_id in self.find(key):
            return context_id
        raise self._name_taken(context_id)

    def _glance(self, context_id: str) -> Manifest:
        return self.manifest(context_id)

    def _is_taken(self, context_id: str) -> bool:
        return (self.root / context_id).exists() or context_id in self._set_aside()

    def _read(self, context_id: str, read: Callable[[Path, Manifest], T]) -> T:
        folder = self.folder(context_id)
        return read(folder, Manifest.read(folder))

    def _set_aside(self) -> set[str]:
        """Ids of the contexts that are being replaced, or whose replacing was cut short."""
        return {path.name.removeprefix(ASIDE) for path in (self.root / WORK).glob(f"{ASIDE}*")}

    def _aside(self, context_id: str) -> Path:
        return self.root / WORK / f"{ASIDE}{context_id}"

    def _bring_back(self) -> None:
        """Mend what a killed writer left between two renames. Under the store's lock."""
        for context_id in self._set_aside():
            recover(self._aside(context_id), self.root / context_id)

    def _clear_leftovers(self) -> None:
        self._bring_back()
        for pattern in LEFTOVERS:
            for leftover in (self.root / WORK).glob(pattern):
                shutil.rmtree(leftover, ignore_errors=True)

    def _names(self) -> set[str]:
        return set(os.listdir(self.root)) if self.root.is_dir() else set()  # noqa: PTH208  # ten times as fast

    def _in_place(self) -> set[str]:
        return {name for name in self._names() if self._is_context(name)}

    def _is_context(self, name: str) -> bool:
        marks = (self.root / name / MANIFEST, self.root / name / DOCUMENTS)
        known = any(map(os.path.exists, marks))  # false, no error, in a folder that cannot be searched
        return known and not name.startswith(".")

    def _free_id(self, name: str | None, title: str) -> str:
        base = slug(name) if name else slug_or(title, "context")
        if not (self.root / base).exists():
            return base
        if name is not None:
            raise self._name_taken(base)
        return unique(base, {taken.lower() for taken in self._names()})

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Hold the store's lock: nobody else gives names or takes them away, or is between two renames."""
        (self.root / WORK).mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / WORK / STORE_LOCK)
        wait_for(lock)
        try:
            self._bring_back()
            yield
        finally:
            lock.release()

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        (self.root / WORK).mkdir(parents=True, exist_ok=True)
        with lock_of(self.root / WORK / name, wait_for):
            yield

    def _unknown(self, context_id: str) -> UnknownContext:
        names = ", ".join(map(quote_name, self.ids())) or "none yet; memorize one first"
        return UnknownContext(f"There is no context {quote_name(context_id)}. The contexts here are: {names}.")

    def _name_taken(self, context_id: str) -> ContextExists:
        if context_id not in self.ids():
            return ContextExists(f"'{context_id}' is a folder in the store that is no context. Choose another name.")
        return ContextExists(
            f"The name '{context_id}' belongs to a context with other contents. Choose another name, or forget "
            f"'{context_id}' first."
        )
