"""What the first evidence names becomes the next clue: titles of sections that a passage mentions.

Questions over several places are seldom answered by what resembles them alone: the second place is named in the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from memorag_core.chunking import Span
from memorag_core.types import Chunk

LONGEST_TITLE = 10
SHORTEST_TITLE = 4

_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")
_ASIDE = re.compile(r"\s*[(（][^()（）]*[)）]")

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """`text[start:end]` of a chunk names the section that begins with chunk number `chunk`."""

    chunk: int
    start: int
    end: int


class Titles:
    """The titled sections of a context, found by name; of two with one name, the first."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.chunks = chunks

    @cached_property
    def _sections(self) -> dict[Words, int]:
        found: dict[Words, int] = {}
        for number, chunk in enumerate(self.chunks):
            title = _ASIDE.sub("", chunk.title)
            if len(title) >= SHORTEST_TITLE:
                found.setdefault(_words(title), number)
        return found

    def named_in(self, number: int) -> Iterator[Link]:
        """The sections that a chunk names, longest names first where they overlap; not the chunk's own."""
        text = self.chunks[number].text
        spans = [match.span() for match in _WORD.finditer(text)]
        words = [text[start:end].lower() for start, end in spans]
        at = 0
        while at < len(words):
            found = None if text[spans[at][0]].islower() else self._longest(words, at)
            if found is not None and self._differs(self._sections[found], number):
                yield Link(self._sections[found], spans[at][0], spans[at + len(found) - 1][1])
            at += len(found or " ")

    def _longest(self, words: Sequence[str], at: int) -> Words | None:
        lengths = range(min(LONGEST_TITLE, len(words) - at), 0, -1)
        return next((name for n in lengths if (name := tuple(words[at : at + n])) in self._sections), None)

    def _differs(self, section: int, number: int) -> bool:
        one, other = self.chunks[section], self.chunks[number]
        return (one.document_id, one.title) != (other.document_id, other.title)


def _words(text: str) -> Words:
    return tuple(match.group().lower() for match in _WORD.finditer(text))


def span_of(chunk: Chunk, link: Link) -> Span:
    """Where the name stands in the document."""
    return chunk.start + link.start, chunk.start + link.end
