"""Find section titles that a text mentions, so that the first evidence leads to more.

Questions over several places are seldom answered by what resembles them alone: the second place is named in the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from memorag_core.types import Chunk

LONGEST_TITLE = 10
SHORTEST_TITLE = 4
MOST_BELOW = 10
"""How many passages a name stands for at most: where its own section begins, and those below it."""

_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")
_ASIDE = re.compile(r"(?<!\s)\s*+[(（][^()（）]*+[)）]")  # linear on any text

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TitleMention:
    """A text names, in these words, the section that begins with chunk number `chunk`."""

    name: str
    chunk: int


class SectionTitles:
    """The titled sections of a context, found by name. A name that several bear, as `Fees` of each basin, names none.

    A section has the sections below it: who names a basin means its fees too, so each of these is named with it.
    """

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        firsts: dict[tuple[str, ...], int] = {}
        for number, chunk in enumerate(chunks):
            for section in chunk.sections:
                firsts.setdefault(section, number)
        self._sections: dict[Words, list[int]] = {}
        known: dict[Words, tuple[str, ...]] = {}
        for path, number in firsts.items():
            for depth in range(1, len(path)):
                self._enter(path[: depth + 1], number, known)

    def find_mentions(self, text: str) -> Iterator[TitleMention]:
        """Yield the sections that a text names, the longest where names overlap; a name has no small first letter."""
        spans = [match.span() for match in _WORD.finditer(text)]
        words = [text[start:end].lower() for start, end in spans]
        at = 0
        while at < len(words):
            start = spans[at][0]
            length = 0 if text[start].islower() else self._longest(words, at)
            if length:
                end = spans[at + length - 1][1]
                for chunk in self._sections[tuple(words[at : at + length])]:
                    yield TitleMention(text[start:end], chunk)
            at += length or 1

    def _enter(self, path: tuple[str, ...], number: int, known: dict[Words, tuple[str, ...]]) -> None:
        """Note that chunk `number` stands in the section of this path, whose title is the last part."""
        title = _ASIDE.sub("", path[-1])
        words = tuple(_WORD.findall(title.lower()))
        if len(title) < SHORTEST_TITLE:
            return
        if known.setdefault(words, path) != path:
            known[words] = ()  # no section's path: the name stays without a meaning
            self._sections.pop(words, None)
        elif len(held := self._sections.setdefault(words, [])) < MOST_BELOW and number not in held:
            held.append(number)

    def _longest(self, words: Sequence[str], at: int) -> int:
        """Return how many words the longest title has that stands at `at`; 0 without one."""
        lengths = range(min(LONGEST_TITLE, len(words) - at), 0, -1)
        return next((n for n in lengths if tuple(words[at : at + n]) in self._sections), 0)
