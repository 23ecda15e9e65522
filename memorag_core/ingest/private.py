"""What is never a document, whatever may be read: what a store keeps, of whichever owner, and files named private."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from memorag_core.config import DOCUMENTS, MANIFEST, OWNERS, WORK
from memorag_core.errors import InputError
from memorag_core.ingest.plain_file import read_plain_file

STORE_MARKS = (WORK, OWNERS)
BEGINNING = 64
VERSION = b'"format_version"'
"""What stands in the first bytes of every manifest."""


class PrivateGate:
    """Tells what is kept by a store, this server's or another's, or is or lies below one of `private`.

    Kept by a store are its contexts, damaged ones too, and its hidden folders: work, owners, tokens, records. Any
    other file in a store's folder is its user's, such as the samples of a checkout. What is known of a folder is kept.
    """

    def __init__(self, private: Sequence[Path] = (), opened: Path | None = None) -> None:
        """Take what is private, and a folder that is not, although it may lie in a store."""
        self._opened = opened
        self._private = [path.expanduser().resolve() for path in private]
        self._identities = {_identity(path) for path in self._private} - {None}
        self._kept: dict[Path, bool] = {}
        self._marked: dict[Path, bool] = {}
        self._stores: dict[Path, bool] = {}

    def keeps(self, real: Path) -> bool:
        """Whether a resolved path is private; it need not exist."""
        if self._opened is not None and real.is_relative_to(self._opened):
            return False
        kept = False
        for entry in reversed([real, *real.parents]):
            if entry not in self._kept:
                self._kept[entry] = kept or self._is_named(entry) or self._is_of_store(entry)
            kept = self._kept[entry]
        return kept

    def _is_named(self, entry: Path) -> bool:
        """Whether it is one of `private`, by whatever name the disk has for it, or a draft or lock beside one."""
        if entry in self._private or (self._identities and _identity(entry) in self._identities):
            return True
        name = entry.name.casefold()
        return any(
            entry.parent == path.parent and name.startswith(f"{path.name}.".casefold()) for path in self._private
        )

    def _is_of_store(self, entry: Path) -> bool:
        """Whether it is what the store of the folder that it is in keeps there, so that all below it is private."""
        if any(_is_called(entry, mark) for mark in STORE_MARKS):
            return True
        if entry.name.startswith("."):
            return self._has_marks(entry.parent)
        looks_so = any(os.path.lexists(entry / mark) for mark in (MANIFEST, DOCUMENTS))
        return looks_so and (self._has_marks(entry.parent) or self._has_contexts(entry.parent))

    def _has_marks(self, folder: Path) -> bool:
        if folder not in self._marked:
            self._marked[folder] = any(os.path.isdir(folder / mark) for mark in STORE_MARKS)  # noqa: PTH112  # no error
        return self._marked[folder]

    def _has_contexts(self, folder: Path) -> bool:
        """Whether a folder without the marks of a store is one all the same, copied or read-only: by its contexts."""
        if folder not in self._stores:
            try:
                self._stores[folder] = any(_is_context(inner) for inner in folder.iterdir())
            except OSError:  # it may be passed but not listed
                self._stores[folder] = True
        return self._stores[folder]


def _is_called(entry: Path, name: str) -> bool:
    """Whether it has that name, or another that the disk takes for it."""
    if entry.name == name:
        return True
    return entry.name.casefold() == name and _identity(entry) == _identity(entry.with_name(name)) is not None


def _is_context(folder: Path) -> bool:
    try:
        return VERSION in read_plain_file(folder / MANIFEST, BEGINNING)
    except (OSError, InputError):
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
