"""Summarize many passages: in groups that fit the generator, then the summaries of these groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from math import ceil

from memorag_core.query.budget import fit_budget
from memorag_core.text.chunking import Count
from memorag_core.text.prompts import Prompts, render_summary
from memorag_core.types import Chunk, Generate, Passage

TOKENS_A_WORD = 2
EVIDENCE_A_WORD = 4
CHARACTERS_A_PART = 200_000
MOST_PARTS = 8


@dataclass(frozen=True, slots=True)
class SummaryRequest:
    """A summary of about `words` words about `focus`, by a generator that is shown `room` tokens of text at once."""

    prompts: Prompts
    focus: str | None
    words: int
    room: int

    def parts(self, characters: int) -> int:
        """Return how many times `room` of evidence to use for a text of that length and a summary of so many words."""
        for_words = ceil(self.words * EVIDENCE_A_WORD / self.room)
        return min(MOST_PARTS, max(for_words, ceil(characters / CHARACTERS_A_PART)))

    def render(self, texts: Sequence[str], words: int | None = None) -> str:
        """Render the prompt for a summary of texts."""
        return render_summary(self.prompts, texts, self.focus, words or self.words)


def interleave(found: Sequence[Sequence[Passage]], tokens: int, count: Count) -> tuple[Passage, ...]:
    """Take the best passage of every list, then every second, and so on: each once, while they fit; one at least."""
    firsts: dict[Chunk, Passage] = {}
    for passage in filter(None, chain.from_iterable(zip_longest(*found))):
        firsts.setdefault(passage.chunk, passage)
    passages = list(firsts.values())
    fitting = fit_budget([passage.chunk.text for passage in passages], tokens, count)
    return tuple(passages[number] for number in fitting)


def map_reduce(texts: Sequence[str], wanted: SummaryRequest, count: Count, generate: Generate) -> list[str]:
    """Return texts that fit the room of what generates: those given, or summaries of groups of them, in their order."""
    while len(texts) > 1 and sum(counts := count(texts)) > wanted.room:
        groups = list(_groups(texts, counts, wanted.room))
        words = max(1, wanted.room // (2 * TOKENS_A_WORD))
        texts = [
            generate(wanted.render(group, words), words * TOKENS_A_WORD) if len(group) > 1 else group[0]
            for group in groups
        ]
    return list(texts)


def _groups(texts: Sequence[str], counts: Sequence[int], room: int) -> Iterator[list[str]]:
    """Group neighbours that fit together, two at least, so that every round leaves fewer texts."""
    group: list[str] = []
    used = 0
    for text, count in zip(texts, counts, strict=True):
        if len(group) > 1 and used + count > room:
            yield group
            group, used = [], 0
        group.append(text)
        used += count
    yield group
