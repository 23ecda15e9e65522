"""A journal keeps what long work has finished, batch by batch, so that work which is begun again goes on from there.

Every entry is named by the digest of what it was made of. A batch is appended as one record with its own checksum: if
the process dies in the middle of it, the journal ends with the batch before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar
from zlib import crc32

from memorag_core.concurrency.device_memory import in_halves

T = TypeVar("T")
LENGTH, CHECK = 8, 4


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """How one kind of results is kept; `name` is what tells it from other kinds made of the same texts."""

    name: str
    pack: Callable[[T], bytes]
    unpack: Callable[[bytes], T]

    def key(self, source: str) -> str:
        """The name of the result that is made of `source`."""
        return hashlib.sha256(f"{self.name}\0{source}".encode()).hexdigest()


class Journal:
    """Finished batches, in a file if there is one to write to; those of earlier files are known too."""

    def __init__(self, path: Path | None = None, earlier: Sequence[Path] = ()) -> None:
        self._path = path
        self._known = {name: value for other in earlier for name, value in _read(other)}
        if path is not None:
            whole = 0
            for batch, end in _batches(path):
                self._known |= batch
                whole = end
            with suppress(FileNotFoundError):
                _cut(path, whole)

    @property
    def writes(self) -> bool:
        """Whether it outlives its process."""
        return self._path is not None

    def finish(self, form: Form[T], sources: Sequence[str], make: Callable[[Sequence[str]], Sequence[T]]) -> list[T]:
        """The results of one batch: those that are kept, and the others as `make` makes them, which are kept then."""
        known = {source: self._known.get(form.key(source)) for source in sources}
        missing = [source for source, value in known.items() if value is None]
        made = dict(zip(missing, in_halves(missing, make), strict=True)) if missing else {}
        self.keep(form, made)
        return [made[source] if (value := known[source]) is None else form.unpack(value) for source in sources]

    def keep(self, form: Form[T], made: Mapping[str, T]) -> None:
        """Append results as one record."""
        if self._path is None or not made:
            return
        record = _record({form.key(source): form.pack(value) for source, value in made.items()})
        with self._path.open("ab") as file:
            file.write(record)

    def get(self, form: Form[T], source: str) -> T | None:
        """The result that was kept of `source`, if one was before this journal was opened."""
        value = self._known.get(form.key(source))
        return None if value is None else form.unpack(value)


NO_JOURNAL = Journal()
"""Of work that is not kept before it is done."""


def _record(entries: Mapping[str, bytes]) -> bytes:
    head = json.dumps({name: len(value) for name, value in entries.items()}).encode()
    body = b"".join([len(head).to_bytes(LENGTH), head, *entries.values()])
    return len(body).to_bytes(LENGTH) + crc32(body).to_bytes(CHECK) + body


def _read(path: Path) -> Iterator[tuple[str, bytes]]:
    for batch, _ in _batches(path):
        yield from batch.items()


def _batches(path: Path) -> Iterator[tuple[dict[str, bytes], int]]:
    """The whole records of a file, each with where it ends; nothing where there is no file."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        while len(head := file.read(LENGTH + CHECK)) == LENGTH + CHECK:
            body = file.read(int.from_bytes(head[:LENGTH]))
            if len(body) != int.from_bytes(head[:LENGTH]) or crc32(body) != int.from_bytes(head[LENGTH:]):
                return
            yield _entries(body), file.tell()


def _entries(body: bytes) -> dict[str, bytes]:
    at = LENGTH + int.from_bytes(body[:LENGTH])
    entries = {}
    for name, size in json.loads(body[LENGTH:at]).items():
        entries[name] = body[at : at + size]
        at += size
    return entries


def _cut(path: Path, whole: int) -> None:
    """Cut off a record that was not written to its end, so that the next one can be read."""
    with path.open("r+b") as file:
        file.truncate(whole)
