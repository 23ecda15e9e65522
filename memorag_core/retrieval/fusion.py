"""Rankings made one: by reciprocal ranks, or by scores that compare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from memorag_core.retrieval.base import Hit

RRF_K = 10
"""Small, as few of the rankings that are fused here are wrong at the top (measured in docs/log.md)."""


def merge_by_score(rankings: Sequence[Sequence[Hit]], sizes: Sequence[int], k: int) -> list[Hit]:
    """The best hits of several indexes, of so many texts each, whose scores do not depend on the other texts."""
    firsts = [0, *accumulate(sizes)][:-1]
    hits = [Hit(first + hit.chunk, hit.score) for first, hits in zip(firsts, rankings, strict=True) for hit in hits]
    return sorted(hits, key=lambda hit: (-hit.score, hit.chunk))[:k]


@dataclass(frozen=True, slots=True)
class FusedText:
    """A text found by one or more queries: the sum of their reciprocal ranks, and who they were."""

    chunk: int
    score: float
    found_by: tuple[int, ...]


def reciprocal_rank_fusion(rankings: Sequence[Sequence[Hit]], weights: Sequence[float]) -> list[FusedText]:
    """Reciprocal rank fusion (Cormack et al., SIGIR 2009), weighted; each text once, best first.

    `found_by` holds the numbers of the rankings that have the text, the largest contribution first.
    """
    found: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for number, (ranking, weight) in enumerate(zip(rankings, weights, strict=True)):
        for rank, hit in enumerate(ranking, start=1):
            found[hit.chunk].append((weight / (RRF_K + rank), number))
    fused = [
        FusedText(
            chunk,
            sum(part for part, _ in parts),
            tuple(number for _, number in sorted(parts, key=lambda p: (-p[0], p[1]))),
        )
        for chunk, parts in found.items()
    ]
    return sorted(fused, key=lambda item: (-item.score, item.chunk))
