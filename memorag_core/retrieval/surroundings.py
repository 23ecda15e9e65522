"""A passage is judged with those around it: it seldom says alone what it is about, and evidence may be a long stretch.

So the score of a passage is its own and the mean of its neighbours' in the same section, nearer ones weighing more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from memorag_core.retrieval.base import Hit
from memorag_core.types import Chunk

OWN = 0.35
"""What a passage's own score weighs; its neighbours together have the rest (measured in docs/log.md)."""
REACH = 4
"""How many passages to each side are neighbours."""


class Surroundings:
    """Which chunks stand near each other: those of a section, by their numbers."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._sections = [0] if chunks else []
        for before, after in pairwise(chunks):
            self._sections.append(self._sections[-1] + (not before.beside(after)))

    def judged(self, hits: Sequence[Hit]) -> list[Hit]:
        """The same hits with the scores of chunk and neighbours, best first; a neighbour not found has the lowest."""
        scores = {hit.chunk: hit.score for hit in hits}
        lowest = min(scores.values(), default=0.0)
        judged = [Hit(hit.chunk, self._score(hit.chunk, scores, lowest)) for hit in hits]
        return sorted(judged, key=lambda hit: (-hit.score, hit.chunk))

    def _score(self, chunk: int, scores: dict[int, float], lowest: float) -> float:
        near = [(1 - distance / (REACH + 1), other) for distance, other in self._near(chunk)]
        if not near:
            return scores[chunk]
        around = sum(weight * scores.get(other, lowest) for weight, other in near) / sum(weight for weight, _ in near)
        return OWN * scores[chunk] + (1 - OWN) * around

    def _near(self, chunk: int) -> Iterator[tuple[int, int]]:
        """Neighbours with their distances."""
        for distance in range(1, REACH + 1):
            for other in (chunk - distance, chunk + distance):
                if 0 <= other < len(self._sections) and self._sections[other] == self._sections[chunk]:
                    yield distance, other
