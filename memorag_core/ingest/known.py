"""What was read before, so that no file is read twice: one that has its size and times still, or else its bytes."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from memorag_core.text.ids import slug_or
from memorag_core.types import Document, Origin

COARSE = 2_000_000_000
"""Nanoseconds that may pass, on the coarsest disks, before a file that changes gets another time."""
NEWER = "It replaced what was read from the same place before."
KEPT = "Its file could not be read when it was last looked at: this is what was read of it before."


class Known:
    """The documents of a context, to be found by the paths of their files and by what is in these."""

    def __init__(self, documents: Iterable[Document] = ()) -> None:
        self.by_path = {document.source: document for document in documents if document.source}
        self._by_bytes = {
            _bytes_of(path, document.origin.sha256): document
            for path, document in self.by_path.items()
            if document.origin and document.origin.sha256
        }

    def find_untouched(self, path: str, origin: Origin) -> Document | None:
        """Return what was read of a file that nobody touched since, by the stamp of the origin."""
        held = self.by_path.get(path)
        if held is None or held.origin is None or not origin.stamp or held.origin.stamp != origin.stamp:
            return None
        return _at(held, path, replace(origin, sha256=held.origin.sha256))

    def find_same(self, path: str, origin: Origin) -> Document | None:
        """Return what was read of the same bytes, in this file or in one of another name."""
        held = self.by_path.get(path)
        if held is None or held.origin is None or held.origin.sha256 != origin.sha256:
            held = self._by_bytes.get(_bytes_of(path, origin.sha256))
        return _at(held, path, origin) if held else None

    def find_kept(self, path: str) -> Document | None:
        """Return what was read before of a file that cannot be read now, marked as such."""
        held = self.by_path.get(path)
        return replace(held, notice=_unmark(held.notice, KEPT, then=KEPT)) if held else None

    def find_below(self, folders: Iterable[Path]) -> list[Document]:
        """Return what was read before from below some folders, marked as `find_kept` does."""
        paths = {path for folder in folders for path in self.by_path if Path(path).is_relative_to(folder)}
        return [kept for path in self.by_path if path in paths and (kept := self.find_kept(path))]


NOTHING_KNOWN = Known()


def stamp_of(real: Path) -> str:
    """Return the size and times of a file; nothing where it changed so lately that the next change might not show.

    The time at which its entry on the disk changed is among them, since programs set the other back.
    """
    try:
        status = real.lstat()
    except OSError:
        return ""
    times = status.st_mtime_ns, status.st_ctime_ns
    return "" if time.time_ns() - max(times) < COARSE else ":".join(map(str, (status.st_size, *times)))


def _bytes_of(path: str, sha256: str) -> tuple[str, str]:
    """Tell files apart by their bytes, and by the suffix, which says how they are read."""
    return sha256, Path(path).suffix.lower()


def _at(held: Document, path: str, origin: Origin) -> Document:
    """Return a document as if its file were read at a path."""
    if path == held.source:
        return replace(held, origin=origin, notice=_unmark(held.notice, KEPT))
    name, former = Path(path).stem, Path(held.source).stem
    title = name if held.title == former else held.title
    notice = _unmark(held.notice, KEPT, NEWER)
    return replace(held, id=slug_or(name, "document"), title=title, source=path, notice=notice, origin=origin)


def _unmark(notice: str, *marks: str, then: str = "") -> str:
    for mark in marks:
        notice = notice.replace(mark, "")
    return f"{notice.strip()} {then}".strip()
