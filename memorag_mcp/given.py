"""What a command was given to read, as documents: files, folders, URLs, standard input."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from memorag_core.config import Settings
from memorag_core.ingest import BYTES_A_CHARACTER, from_bytes, from_path, from_url, is_url
from memorag_core.names import unique
from memorag_core.types import Document


def documents_at(places: Sequence[str], settings: Settings, include: Sequence[str]) -> list[Document]:
    """The documents of all places, each with an id of its own."""
    documents: list[Document] = []
    for place in places:
        for document in _at(place, settings, include):
            taken = {other.id for other in documents}
            documents.append(replace(document, id=unique(document.id, taken)))
    return documents


def _at(place: str, settings: Settings, include: Sequence[str]) -> list[Document]:
    limit = settings.max_characters
    if place == "-":
        return [from_bytes(sys.stdin.buffer.read(limit * BYTES_A_CHARACTER + 1), "Standard input", limit)]
    if is_url(place):
        return [from_url(place, limit, settings.allow_url)]
    return from_path(Path(place), limit, include)
