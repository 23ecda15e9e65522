"""Texts, files, folders and web pages to documents, checked before anything is encoded."""

from memorag_core.ingest.documents import (
    Reading,
    check_size,
    from_bytes,
    from_path,
    from_text,
    from_url,
    hear_pages,
    read_path,
    title_of,
    with_own_ids,
)
from memorag_core.ingest.extract import BYTES_A_CHARACTER, TooLarge
from memorag_core.ingest.folders import FolderWalk
from memorag_core.ingest.formats import FORMATS
from memorag_core.ingest.known import KEPT, NEWER, NOTHING_KNOWN, Known
from memorag_core.ingest.paths import NothingThere, resolve_allowed
from memorag_core.ingest.url import is_url

__all__ = [
    "BYTES_A_CHARACTER",
    "FORMATS",
    "KEPT",
    "NEWER",
    "NOTHING_KNOWN",
    "FolderWalk",
    "Known",
    "NothingThere",
    "Reading",
    "TooLarge",
    "check_size",
    "from_bytes",
    "from_path",
    "from_text",
    "from_url",
    "hear_pages",
    "is_url",
    "read_path",
    "resolve_allowed",
    "title_of",
    "with_own_ids",
]
