"""Contexts that machines share: what they are is in a bucket (`versions.py`), a folder holds copies of those asked for.

Every look at a context asks the bucket what it is now, and gets of its files what the copy lacks. So the folder may be
lost at any time, and what is damaged in it is got again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from memorag_core.config import MANIFEST, WORK, Settings
from memorag_core.context.atomic_files import replace_folder, seal
from memorag_core.context.disk_errors import translate_errors
from memorag_core.context.leases import hold_lease
from memorag_core.context.manifest import FileEntry, Manifest, parse_manifest
from memorag_core.context.store import ContextStore
from memorag_core.context.versions import Version, Versions, open_bucket
from memorag_core.context.work import WorkFolder, acquire_now, lock_of
from memorag_core.errors import DamagedContext, MemoRAGError, StoreError, UnknownContext
from memorag_core.text.ids import slug, slug_or, unique

SECONDS_OF_A_LIST = 1.0
T = TypeVar("T")


def open_store(settings: Settings) -> ContextStore:
    """Open the store that settings name: a folder, or a bucket, with copies below the folder."""
    if not settings.shared:
        return ContextStore(settings.store)
    place = hashlib.sha256(settings.shared.encode()).hexdigest()[:16]
    return SharedStore(
        settings.store / WORK / "shared" / place, Versions(open_bucket(settings.shared), settings.shared)
    )


class SharedStore(ContextStore):
    """A store whose contexts are those of a bucket, for any number of machines; `root` is this machine's copy."""

    def __init__(self, root: Path, versions: Versions) -> None:
        super().__init__(root)
        self.versions = versions
        self.bucket = versions.bucket

    def ids(self) -> list[str]:
        """Sorted ids of all contexts."""
        return self.versions.ids()

    def folder(self, context_id: str) -> Path:
        """The folder of a context, with all of its files as they are now. Raises as the folder's store."""
        head = self._head(context_id)
        if not self._is_copied(context_id, head):
            self._copy_here(context_id, head)
        return self.root / context_id

    def manifest(self, context_id: str) -> Manifest:
        """The manifest of a context; none of its files is got."""
        return self._parse(context_id, self._head(context_id))

    def check(self, context_id: str) -> Manifest:
        """The manifest of a context as it was at most a second ago; none of its files is got."""
        return self._parse(context_id, self._head(context_id, SECONDS_OF_A_LIST))

    def reading(self, context_id: str, read: Callable[[Path, Manifest], T]) -> T:
        """Call `read` with a context's folder and manifest. Raises as the folder's store.

        Where that finds damage, it may be of the copy alone: another process just replaces it, or the disk has a fault.
        """
        folder = self.folder(context_id)
        with suppress(UnknownContext, DamagedContext):
            return read(folder, Manifest.read(folder))
        with translate_errors(self.root), self._naming(), suppress(UnknownContext, DamagedContext):
            return read(folder, Manifest.read(folder))
        self._copy_here(context_id, self._head(context_id), afresh=True)
        return read(folder, Manifest.read(folder))

    def publish(self, work: WorkFolder, manifest: Manifest, name: str | None) -> str:
        """Seal a written folder and publish it under a name that is free. Raises as the folder's store."""
        sealed = self._send(work, manifest)
        base = slug(name) if name else slug_or(manifest.title, "context")
        context_id = base
        while not self.versions.publish(context_id, _bytes_of(sealed), None):
            if name is not None:
                raise self._name_taken(base)
            context_id = unique(base, {base, *self.ids()})
        self._keep(context_id, work.draft)
        work.publish()
        return context_id

    def replace(self, context_id: str, work: WorkFolder, manifest: Manifest, before: Manifest) -> bool:
        """Publish a written folder in the place of a context; whether it had the documents of `before` still."""
        sealed = self._send(work, manifest)
        while True:
            head = self._head(context_id)
            stored = self._parse(context_id, head)
            if not stored.reads_as(before):
                return False
            if manifest.ready == "evidence":
                work.follow(self.folder(context_id), stored)
            else:
                sealed = sealed.with_places_of(stored).with_seal()  # described meanwhile
            if self.versions.publish(context_id, _bytes_of(sealed), head):
                break
        (work.draft / MANIFEST).write_bytes(_bytes_of(sealed))
        self._keep(context_id, work.draft)
        if manifest.ready == "evidence":
            work.publish()
        return True

    def describe(self, context_id: str, manifest: Manifest) -> Manifest:
        """Tell where a context's documents are from as a manifest does that reads as the stored one; returns that."""
        while True:
            head = self._head(context_id)
            stored = self._parse(context_id, head)
            if not stored.reads_as(manifest):
                return stored
            stored = stored.with_places_of(manifest).with_seal()
            if self.versions.publish(context_id, _bytes_of(stored), head):
                return stored

    def copy(self, context_id: str, name: str, key: str) -> str:
        """Give the context of that key a second name. Raises as the folder's store."""
        head, new_id = self._head(context_id), slug(name)
        if self._parse(context_id, head).key != key:
            raise UnknownContext(f"The context '{context_id}' holds other texts since a moment ago.")
        if self.versions.read(new_id) is not None or not self.versions.publish(new_id, head.manifest, None):
            raise self._name_taken(new_id)
        return new_id

    def forget(self, context_id: str) -> None:
        """Remove a context, damaged or not, and this machine's work on it."""
        head = self._head(context_id)
        self.versions.remove(context_id)
        with translate_errors(self.root), self._naming():
            shutil.rmtree(self.root / context_id, ignore_errors=True)
            with suppress(MemoRAGError, OSError):
                key = parse_manifest(self.root / context_id, head.manifest).key
                with lock_of(self.root / WORK / key, acquire_now):
                    WorkFolder(self.root / WORK / key).clear()

    def sweep(self) -> None:
        """Clear what interrupted writers left behind, here and in the bucket, and copies of what was forgotten."""
        super().sweep()
        with suppress(MemoRAGError):  # serving may begin before the bucket can be reached
            for gone in self._in_place() - set(self.ids()):
                shutil.rmtree(self.root / gone, ignore_errors=True)
            self.versions.sweep(_digests_in)

    def _glance(self, context_id: str) -> Manifest:
        return self.check(context_id)

    def _is_taken(self, context_id: str) -> bool:
        return self.versions.read(context_id) is not None

    def _head(self, context_id: str, seconds: float = 0.0) -> Version:
        is_id = slug_or(context_id, "") == context_id  # else it would lead elsewhere
        head = self.versions.read(context_id, seconds) if is_id else None
        if head is None:
            raise self._unknown(context_id)
        return head

    def _parse(self, context_id: str, head: Version) -> Manifest:
        try:
            return parse_manifest(self.root / context_id, head.manifest)
        except (UnknownContext, DamagedContext):  # who has the files can say what to do
            return self.reading(context_id, lambda folder, manifest: manifest)

    def _send(self, work: WorkFolder, manifest: Manifest) -> Manifest:
        """Seal a draft, and put all in the bucket that was not linked from a version there."""
        sealed = seal(work.draft, manifest, work.linked)
        held = {entry.sha256 for name, entry in work.linked.items() if sealed.files.get(name) == entry}
        self.versions.send(work.draft, sealed.files, held)
        return sealed

    def _is_copied(self, context_id: str, head: Version) -> bool:
        try:
            return (self.root / context_id / MANIFEST).read_bytes() == head.manifest
        except OSError:
            return False

    def _copy_here(self, context_id: str, head: Version, afresh: bool = False) -> None:
        """Get what the copy of a context lacks, or all of it; one process of this machine at a time."""
        name, place = f"copy={context_id}", self.root / context_id
        work = WorkFolder(self.root / WORK / name)
        with translate_errors(self.root), super()._lock(name), work.open():
            if self._is_copied(context_id, head) and not afresh:
                return
            held = {} if afresh else {entry.sha256: place / file for file, entry in _files_in(place).items()}
            (work.draft / MANIFEST).write_bytes(head.manifest)
            self.versions.fetch(_files_in(work.draft), work.draft, held)
            (work.draft / MANIFEST).touch()  # what was changed after that is read again, each time it is looked at
            self._keep(context_id, work.draft)

    def _keep(self, context_id: str, draft: Path) -> None:
        """Have a folder as the copy of a context."""
        place = self.root / context_id
        with self._naming():
            if place.exists():
                replace_folder(place, draft, self._aside(context_id))
            else:
                os.replace(draft, place)

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        with super()._lock(name), hold_lease(self.versions.bucket, self.versions.where, name):
            yield


def _bytes_of(manifest: Manifest) -> bytes:
    return manifest.model_dump_json(indent=2).encode()


def _files_in(folder: Path) -> dict[str, FileEntry]:
    """What the manifest in a folder lists; nothing where there is none that can be read."""
    try:
        return Manifest.read(folder).files
    except (StoreError, UnknownContext):
        return {}


def _digests_in(manifest: bytes) -> set[str]:
    """The digests that a manifest lists. Raises `StoreError` where it is none: what it listed must not be cleared."""
    try:
        return {entry["sha256"] for entry in json.loads(manifest)["files"].values()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError("A context of the shared store is damaged; what is not used there is not cleared.") from error
