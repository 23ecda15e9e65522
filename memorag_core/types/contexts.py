"""What is told of stored contexts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from memorag_core.types.texts import Source

Ready = Literal["evidence", "memory"]
"""What of a context is there: texts and their index; or the memory too."""

Change = Literal["added", "replaced", "removed", "renamed", "unchanged"]
"""What becomes of a document when its context is brought in step with its files."""


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A document of a stored context, without its text. `characters` counts Python characters; `pages` its pages."""

    id: str
    title: str
    source: str
    characters: int
    pages: int = 0
    notice: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class ContextInfo:
    """A stored context as a list shows it. `created` is ISO 8601 in UTC; `bytes` is its size on disk.

    `models` maps a role (memory, embedder) to a model id. `encode_seconds` is what memorizing took, with every change
    of its documents since. `ready` says whether its memory is made. `cached` is true where memorizing, or adding,
    found it all already there. `sources` are what it is read from; where they were just looked at, `changes` are the
    ids of documents by what became of them, and `left_out` what of them was not read, with why.
    """

    id: str
    title: str
    documents: tuple[DocumentInfo, ...]
    created: str
    models: dict[str, str]
    chunks: int
    memory_tokens: int
    bytes: int
    encode_seconds: float
    ready: Ready = "memory"
    cached: bool = False
    sources: tuple[Source, ...] = ()
    changes: Mapping[Change, tuple[str, ...]] | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
