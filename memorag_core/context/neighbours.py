"""Smooth the scores of passages with those of the passages around them, at several scales at once.

A passage seldom says alone what it is about, and evidence may be one line or a long stretch. So each passage is scored
alone and as the middle of a stretch, and counts by where it stands out most: scale selection, as for blobs in images
(Lindeberg, 1998). The scores of each scale are standardized, so that they compare, and the exponentials are summed.
Neighbours share a paragraph. In a transcript, where a topic goes on for many turns, all turns around are neighbours.
Where a question asks what was said there, no passage counts alone.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from memorag_core.retrieval.base import Hit
from memorag_core.retrieval.standard_scores import standardize
from memorag_core.types import Chunk

Scores = NDArray[np.float64]


REACHES = (0, 12, 24)
"""How many passages to each side count at each scale, nearer ones more. Fitted leave-one-set-out (docs/log.md)."""
BROAD_REACH = 12
"""The one scale for broad questions about talk: its stretches are about as long as an answer's evidence."""

_BREAK = re.compile(r"\n[^\S\n]*\n")


class NeighbourSmoother:
    """A smoother of scores, which knows by their numbers which chunks stand near each other."""

    def __init__(self, chunks: Sequence[Chunk], texts: Mapping[str, str], reaches: Sequence[int] = REACHES) -> None:
        """Take the chunks of some documents in order, the documents' texts by their ids, and the scales."""
        self._reaches = reaches
        talks = {chunk.document_id for chunk in chunks if chunk.turns}
        breaks = {
            name: [] if name in talks else [match.start() for match in _BREAK.finditer(text)]
            for name, text in texts.items()
        }
        self._is_talk = np.array([chunk.document_id in talks for chunk in chunks], np.bool_)
        numbers: dict[tuple[str, ...], int] = {}
        section = np.array([numbers.setdefault(chunk.section, len(numbers)) for chunk in chunks], np.int64)
        first = np.array([bisect(breaks[chunk.document_id], chunk.start) for chunk in chunks], np.int64)
        last = np.array([bisect(breaks[chunk.document_id], chunk.end - 1) for chunk in chunks], np.int64)
        is_row = np.array([bool(chunk.header) for chunk in chunks], np.bool_)
        self._size = len(chunks)
        self._together = [
            # a chunk that continues a table begins with a row, which says nothing of the rows before it
            (section[:-distance] == section[distance:]) & (last[:-distance] == first[distance:]) & ~is_row[distance:]
            for distance in range(1, min(max(BROAD_REACH, *reaches), len(chunks) - 1) + 1)
        ]
        """For each distance from 1, whether one paragraph goes on from each chunk to the one so far behind it."""

    @property
    def has_talk(self) -> bool:
        """Whether any of the documents is a transcript."""
        return bool(self._is_talk.any())

    def smooth(self, hits: Sequence[Hit], broad: bool = False) -> list[Hit]:
        """Smooth the scores of hits with their neighbours', best first; a neighbour that is no hit counts as lowest.

        If the question is `broad` and the best passage is talk, the stretch around each passage counts, and that alone.
        The scores that are returned compare with each other, and with nothing else.
        """
        if not hits:
            return []
        found = np.array([hit.chunk for hit in hits])
        scores = np.full(self._size, min(hit.score for hit in hits), np.float64)
        scores[found] = [hit.score for hit in hits]
        mixed = np.logaddexp.reduce([standardize(self._blend(scores, reach)[found]) for reach in self._reaches])
        if broad and self._is_talk[found[mixed.argmax()]]:
            mixed = self._blend(scores, BROAD_REACH)[found]
        smooth = [Hit(hit.chunk, float(score)) for hit, score in zip(hits, mixed, strict=True)]
        return sorted(smooth, key=lambda hit: (-hit.score, hit.chunk))

    def _blend(self, scores: Scores, reach: int) -> Scores:
        """The mean of each score and its neighbours', whose weight falls with distance, to nothing beyond `reach`."""
        sums, weights = scores.copy(), np.ones_like(scores)
        for distance, together in enumerate(self._together[:reach], start=1):
            weight = (1 - distance / (reach + 1)) * together
            sums[:-distance] += weight * scores[distance:]
            sums[distance:] += weight * scores[:-distance]
            weights[:-distance] += weight
            weights[distance:] += weight
        return np.asarray(sums / weights)
