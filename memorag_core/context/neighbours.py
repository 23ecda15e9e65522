"""Smooth the score of a passage with the scores of those around it.

A passage seldom says alone what it is about, and evidence may be a long stretch. So its score becomes its own and the
mean of its neighbours', nearer ones weighing more. Neighbours share a paragraph. In a transcript, where a turn says
little and a topic goes on for many, all turns around it are neighbours.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from memorag_core.retrieval.base import Hit
from memorag_core.text.chunking import is_talk
from memorag_core.types import Chunk

WRITTEN, SPOKEN = 2 / 3, 1 / 3
"""The weight of a passage's own score, in prose and in transcripts; its neighbours share the rest (see docs/log.md)."""
REACH = 4
"""So many passages to each side can be neighbours."""

_BREAK = re.compile(r"\n[^\S\n]*\n")


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where a chunk stands: its section, the numbers of the paragraphs of its beginning and end, and its own weight.

    One that continues a table begins with a row, which says nothing of the rows before it.
    """

    section: tuple[str, ...]
    first: int
    last: int
    own: float
    continues_table: bool


class NeighbourSmoother:
    """A smoother of scores, which knows by their numbers which chunks stand near each other."""

    def __init__(self, chunks: Sequence[Chunk], texts: Mapping[str, str]) -> None:
        """Take the chunks of some documents in order, and the documents' texts by their ids."""
        talks = {name for name, text in texts.items() if is_talk(text)}
        breaks = {
            name: [] if name in talks else [match.start() for match in _BREAK.finditer(text)]
            for name, text in texts.items()
        }
        self._standing = [
            _Standing(
                chunk.section,
                bisect(breaks[chunk.document_id], chunk.start),
                bisect(breaks[chunk.document_id], chunk.end - 1),
                SPOKEN if chunk.document_id in talks else WRITTEN,
                bool(chunk.header),
            )
            for chunk in chunks
        ]

    def smooth(self, hits: Sequence[Hit]) -> list[Hit]:
        """Smooth the scores of hits with their neighbours', best first; a neighbour that is no hit counts as lowest."""
        scores = {hit.chunk: hit.score for hit in hits}
        lowest = min(scores.values(), default=0.0)
        smooth = [Hit(hit.chunk, self._score(hit.chunk, scores, lowest)) for hit in hits]
        return sorted(smooth, key=lambda hit: (-hit.score, hit.chunk))

    def _score(self, chunk: int, scores: Mapping[int, float], lowest: float) -> float:
        near = [(1 - distance / (REACH + 1), other) for distance, other in self._near(chunk)]
        if not near:
            return scores[chunk]
        around = sum(weight * scores.get(other, lowest) for weight, other in near) / sum(weight for weight, _ in near)
        own = self._standing[chunk].own
        return own * scores[chunk] + (1 - own) * around

    def _near(self, chunk: int) -> Iterator[tuple[int, int]]:
        """Yield the neighbours of a chunk with their distances."""
        for distance in range(1, REACH + 1):
            for before, after in ((chunk - distance, chunk), (chunk, chunk + distance)):
                if before >= 0 and after < len(self._standing) and self._together(before, after):
                    yield distance, before + after - chunk

    def _together(self, before: int, after: int) -> bool:
        """Return whether one paragraph goes on from one chunk to the other."""
        one, other = self._standing[before], self._standing[after]
        return one.section == other.section and one.last == other.first and not other.continues_table
