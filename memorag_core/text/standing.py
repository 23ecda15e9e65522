"""Where each passage of a document stands: under which headings, in which table, in whose turn and on which day."""

from __future__ import annotations

from bisect import bisect, bisect_left
from dataclasses import dataclass
from itertools import takewhile
from typing import Self

from memorag_core.text.chunking import Section, sections
from memorag_core.text.tables import Table, find_tables, header_at
from memorag_core.text.talk import Talk
from memorag_core.types import Chunk, Document

CHUNKING = "turns"
"""How contexts are chunked and indexed now; those of an earlier time, chunked in another way, keep their chunks."""
BEFORE_TURNS, BEFORE_PATHS = "paths", "sections"
"""Contexts of these times are not indexed under dates and speakers, and before that under one heading only."""
MEETING = 3
"""Speakers of whom a name tells what is spoken of; of two, each is named everywhere (measured in docs/log.md)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A document with its sections, tables and turns. All of it is told from the text, so nothing of it is stored."""

    document: Document
    sections: list[Section]
    tables: list[Table]
    talk: Talk
    chunking: str

    @classmethod
    def of(cls, document: Document, chunking: str = CHUNKING) -> Self:
        """Read where things stand in a document; `chunking` is how its context was indexed."""
        text = document.text
        return cls(document, list(sections(text)), find_tables(text), Talk.of(text), chunking)

    def chunk(self, start: int, end: int) -> Chunk:
        """The passage `text[start:end]`, which knows where it stands: of several sections, what these stand under."""
        at = max(0, bisect(self.sections, start, key=_start_of) - 1)
        parts = self.sections[at : bisect_left(self.sections, end, at + 1, key=_start_of)]
        paths = [part.path for part in parts]
        path = tuple(names[0] for names in takewhile(_are_one, zip(*paths, strict=False)))
        since, first, is_new = parts[0].start, self.sections[0], self.chunking == CHUNKING
        return Chunk(
            self.document.id,
            start,
            end,
            self.document.text[start:end],
            title=path[-1] if path else "",
            above=path[:-1],
            below=tuple((part.start, part.path) for part in parts) if len(parts) > 1 else (),
            document_title=self.document.title,
            header=header_at(self.tables, start),
            date=self.talk.date_at(start, since, first.end if not first.title else 0) if is_new else "",
            speaker=self.talk.speaker_at(start, since),
            turns=self.talk.turns_in(start, end),
            under_path=is_new or self.chunking == BEFORE_TURNS,
            under_speaker=is_new and self.talk.speakers >= MEETING,
        )


def _start_of(part: Section) -> int:
    return part.start


def _are_one(names: tuple[str, ...]) -> bool:
    return len(set(names)) == 1
