"""Keep the files that documents were read from, where they show how the pages look: sealed like all of a context."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from memorag_core.config import ORIGINALS
from memorag_core.context.manifest import DocumentEntry, Manifest
from memorag_core.errors import InputError
from memorag_core.ingest.extract import MAX_FILE
from memorag_core.ingest.plain_file import read_plain_file
from memorag_core.types import Document, Original


def keep_original(folder: Path, document: Document) -> str | None:
    """Put a document's original into a folder; returns its name there, None where there is none any more.

    A file that is no longer what was read is left out: then its pages are shown as text.
    """
    original = document.original
    if original is None:
        return None
    name = f"{ORIGINALS}/{document.id}{Path(original.path).suffix.lower()}"
    place = folder / name
    if place.exists():  # linked, with the text
        return name
    data = read_original(original)
    if data is None:
        return None
    place.parent.mkdir(exist_ok=True)
    if not (original.kept and _share(Path(original.path), place)):
        place.write_bytes(data)
    return name


def find_original(folder: Path, manifest: Manifest, entry: DocumentEntry) -> Original | None:
    """Return where a document's original lies in a context's folder, and what its bytes are."""
    if entry.original is None:
        return None
    words = (folder / entry.words).read_text(encoding="utf-8") if entry.words else ""
    return Original(str(folder / entry.original), manifest.files[entry.original].sha256, kept=True, words=words)


def keep_words(folder: Path, document: Document) -> str | None:
    """Write where words stand on pages that are pictures; return the file's name, None where there are none such."""
    if document.original is None or not document.original.words:
        return None
    name = f"{ORIGINALS}/{document.id}.words.json"
    place = folder / name
    place.parent.mkdir(exist_ok=True)
    if not place.exists():
        place.write_text(document.original.words, encoding="utf-8")
    return name


def read_original(original: Original | None) -> bytes | None:
    """Return the bytes of an original; None where there is none, or none that still is what was read."""
    if original is None:
        return None
    try:
        data = read_plain_file(Path(original.path).resolve(), MAX_FILE)
    except (OSError, InputError):
        return None  # moved, deleted, or closed to us since it was read
    return data if hashlib.sha256(data).hexdigest() == original.sha256 else None


def _share(path: Path, place: Path) -> bool:
    """Hard-link a file of the store, which nobody changes; whether the disk can."""
    try:
        os.link(path, place)
    except OSError:
        return False
    return True
