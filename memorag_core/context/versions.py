"""The versions of contexts in a bucket that machines share: published by one conditional put, and never changed.

    URL/
      heads/ID.json      the manifest of a context as it is now; whoever puts it, names the version that it replaces
      blobs/SHA256       the files that manifests list, by their digest: what two versions have in common is there once
      leases/NAME        who works on what (`leases.py`)
      swept              written when blobs that no manifest lists were last cleared

Blobs are put before the manifest that lists them, so a context is whole or not there. Of two who replace the same
version one wins, and the other is told so. A reader holds a manifest, and nothing that it lists changes under it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Container, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from memorag_core.context.manifest import FileEntry
from memorag_core.errors import InputError, StoreError, quote_name, require

if TYPE_CHECKING:
    from obstore import ObjectMeta, PutMode, PutResult, UpdateVersion
    from obstore.store import ObjectStore

HEADS, BLOBS, SWEPT = "heads/", "blobs/", "swept"
AT_ONCE = 8
RETRIES = 4
SECONDS_OF_RETRIES = 20
SECONDS_KEPT = 24 * 3600
"""How long a blob stays that no manifest lists: a writer publishes sooner."""


@dataclass(frozen=True, slots=True)
class Version:
    """What a context is since some publication: its manifest, as bytes, and how the bucket tells it from others."""

    tag: UpdateVersion
    manifest: bytes
    seen: float


@contextmanager
def tell_failures(where: str) -> Iterator[None]:
    """Raise failures of a bucket as errors that say what to do."""
    from obstore.exceptions import BaseError

    try:
        yield
    except BaseError as error:
        first = str(error).split("\n")[0]
        raise StoreError(
            f"The shared store in {where} cannot be used ({first}). Check its address and your credentials, then try "
            "again; nothing was lost."
        ) from error


def open_bucket(url: str) -> ObjectStore:
    """Open a bucket or a folder in one: `s3://`, `gs://`, `az://`; credentials come from the environment.

    Raises:
        InputError: the address is none of a bucket.
        MissingExtra: the package for it is not installed.
    """
    require("obstore", "cluster")
    from obstore.exceptions import BaseError
    from obstore.store import AzureStore, GCSStore, S3Store, from_url

    retries = {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=SECONDS_OF_RETRIES)}
    try:
        bucket: ObjectStore = from_url(url, retry_config=retries)  # type: ignore[call-overload]  # one for each kind
        if isinstance(bucket, S3Store | GCSStore | AzureStore):  # the others know no put in the place of a version
            return bucket
        why = "what is there cannot tell of two writers which came first"
    except (BaseError, ValueError) as error:
        why = str(error).split("\n")[0]
    raise InputError(
        f"{quote_name(url)} is no bucket that can be used ({why}). Write s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or "
        "az://CONTAINER/FOLDER; a folder on a disk is named with --store."
    )


class Versions:
    """The versions in one bucket. Safe between threads."""

    def __init__(self, bucket: ObjectStore, where: str) -> None:
        """Take the bucket, and what to call it in messages."""
        self.bucket = bucket
        self.where = where
        self._heads: dict[str, Version] = {}

    def ids(self) -> list[str]:
        """Return the ids of all contexts, sorted."""
        found, new = list[str](), dict[str, None]()
        with tell_failures(self.where):
            for one in list_objects(self.bucket, HEADS):
                found.append(context_id := one["path"].removeprefix(HEADS).removesuffix(".json"))
                known = self._heads.get(context_id)
                if known and known.tag.get("e_tag") == one["e_tag"]:
                    self._heads[context_id] = Version(known.tag, known.manifest, time.monotonic())
                else:
                    new[context_id] = None
        _do_each(self.where, self.read, new)  # who wants a list wants the manifests, and here they are got together
        return sorted(found)

    def read(self, context_id: str, seconds: float = 0.0) -> Version | None:
        """Return what a context is now, or was at most so many seconds ago; None where there is none."""
        from obstore.exceptions import NotModifiedError

        known = self._heads.get(context_id)
        if known and time.monotonic() - known.seen < seconds:
            return known
        try:
            with tell_failures(self.where), suppress(NotModifiedError):
                got = self.bucket.get(
                    _head(context_id), options={"if_none_match": known.tag["e_tag"]} if known else None
                )
                known = Version(tag_of(got.meta), bytes(got.bytes()), time.monotonic())
                self._heads[context_id] = known
        except FileNotFoundError:
            self._heads.pop(context_id, None)
            return None
        return known

    def publish(self, context_id: str, manifest: bytes, replaced: Version | None) -> bool:
        """Make a manifest what a context is, if it still is `replaced` (None: if there is none); whether it was."""
        mode: PutMode = replaced.tag if replaced else "create"
        if self._put(_head(context_id), manifest, mode):
            return True
        now = self.read(context_id)  # a put that was sent twice meets itself
        return now is not None and now.manifest == manifest

    def remove(self, context_id: str) -> None:
        """Remove a context; its blobs are cleared later."""
        with tell_failures(self.where), suppress(FileNotFoundError):
            self.bucket.delete(_head(context_id))
        self._heads.pop(context_id, None)

    def send(self, folder: Path, files: Mapping[str, FileEntry], held: Container[str]) -> None:
        """Put the files of a sealed folder; those whose digest is `held` are there already."""
        new = {entry.sha256: folder / name for name, entry in files.items() if entry.sha256 not in held}

        def put(sha256: str) -> None:
            self.bucket.put(BLOBS + sha256, new[sha256])

        _do_each(self.where, put, new)

    def fetch(self, files: Mapping[str, FileEntry], folder: Path, held: Mapping[str, Path]) -> None:
        """Get files into a folder; those whose digest is `held` are linked from there. One that is lost is left out."""
        for above in {(folder / name).parent for name in files}:
            above.mkdir(parents=True, exist_ok=True)

        def get(name: str) -> None:
            sha256, path = files[name].sha256, folder / name
            if sha256 in held:
                with suppress(OSError):
                    os.link(held[sha256], path)
                    return
            with suppress(FileNotFoundError), path.open("xb") as file:
                try:
                    for piece in self.bucket.get(BLOBS + sha256).stream():
                        file.write(piece)
                except FileNotFoundError:
                    path.unlink()

        _do_each(self.where, get, files)

    def sweep(self, listed: Callable[[bytes], set[str]]) -> None:
        """Clear blobs of before yesterday that no manifest lists, once a day; `listed` tells what one lists."""
        with tell_failures(self.where):
            old = {one["path"] for one in list_objects(self.bucket, BLOBS) if _is_old(one["last_modified"])}
            if not old or not self._claim_sweep():
                return
            for context_id in self.ids():
                head = self.read(context_id)
                old -= {BLOBS + sha256 for sha256 in listed(head.manifest)} if head else set()
            for path in old:
                if _is_old(self.bucket.head(path)["last_modified"]):  # put again meanwhile
                    self.bucket.delete(path)

    def _claim_sweep(self) -> bool:
        """Whether nobody else swept today."""
        try:
            last = self.bucket.head(SWEPT)
        except FileNotFoundError:
            return self._put(SWEPT, b"", "create")
        return _is_old(last["last_modified"]) and self._put(SWEPT, b"", tag_of(last))

    def _put(self, path: str, data: bytes, mode: PutMode) -> bool:
        """Put an object on a condition; whether that held."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with tell_failures(self.where), suppress(FileNotFoundError):
            try:
                self.bucket.put(path, data, mode=mode)
                return True
            except (AlreadyExistsError, PreconditionError):
                return False
        return False  # some answer that what was to be replaced is not found


def list_objects(bucket: ObjectStore, prefix: str) -> Iterator[ObjectMeta]:
    """Yield what a bucket knows of each object below a prefix."""
    for some in bucket.list(prefix):
        yield from some


def tag_of(known: ObjectMeta | PutResult) -> UpdateVersion:
    """How a bucket tells a version of an object from others: S3 and Azure by a tag, Google by a number."""
    tag: UpdateVersion = {"e_tag": known["e_tag"]}
    if known["version"] is not None:
        tag["version"] = known["version"]
    return tag


def _head(context_id: str) -> str:
    return f"{HEADS}{context_id}.json"


def _is_old(at: datetime) -> bool:
    return (datetime.now(UTC) - at).total_seconds() > SECONDS_KEPT


def _do_each(where: str, do: Callable[[str], object], names: Mapping[str, object]) -> None:
    """Do something for each name, some at once; the first failure is raised."""
    with tell_failures(where), ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(do, names):
            pass
