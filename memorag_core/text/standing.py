"""Where each passage of a document stands: under which headings, and in which table."""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from typing import Self

from memorag_core.text.chunking import Section, sections
from memorag_core.text.tables import Table, find_tables, header_at
from memorag_core.types import Chunk, Document

CHUNKING = "paths"
"""How contexts are chunked and indexed now; those of an earlier time, chunked in another way, keep their chunks."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A document with its sections and tables. All of it is told from the text, so nothing of it is stored."""

    document: Document
    sections: list[Section]
    tables: list[Table]
    under_path: bool = True

    @classmethod
    def of(cls, document: Document, under_path: bool = True) -> Self:
        """Read where things stand in a document; `under_path` as in `Chunk`."""
        return cls(document, list(sections(document.text)), find_tables(document.text), under_path)

    def chunk(self, start: int, end: int) -> Chunk:
        """The passage `text[start:end]`, which knows where it stands."""
        section = self.sections[bisect(self.sections, start, key=lambda part: part.start) - 1]
        return Chunk(
            self.document.id,
            start,
            end,
            self.document.text[start:end],
            section.title,
            section.above,
            self.document.title,
            header_at(self.tables, start),
            self.under_path,
        )
