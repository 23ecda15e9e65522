"""What is never a document, whatever may be read: what a store keeps, of whichever owner, and files named private."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from memorag_core.config import DOCUMENTS, MANIFEST, OWNERS, WORK

STORE_MARKS = {WORK, OWNERS}


def is_private(real: Path, private: Sequence[Path] = ()) -> bool:
    """Whether a resolved path is kept by a store, this server's or another's, or is or lies below one of `private`.

    Kept by a store are its contexts, damaged ones too, and its hidden folders: work, owners, tokens, records. Any
    other file in a store's folder is its user's, such as the samples of a checkout.
    """
    if any(real.is_relative_to(path.expanduser().resolve()) for path in private):
        return True
    within = [real, *real.parents]
    return any(_is_kept(entry, folder) for entry, folder in pairwise(within))


def _is_kept(entry: Path, folder: Path) -> bool:
    """Whether `entry` of a folder is what a store keeps there, so that all below it is private."""
    if entry.name in STORE_MARKS:
        return True
    is_store = any((folder / mark).is_dir() for mark in STORE_MARKS)
    return is_store and (entry.name.startswith(".") or any((entry / mark).exists() for mark in (MANIFEST, DOCUMENTS)))
