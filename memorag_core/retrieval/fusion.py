"""Fuse rankings: by reciprocal ranks (RRF), or by scores that compare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
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
class Ranking:
    """Chunks best first, each with what found it, and the weight of all of it."""

    chunks: Mapping[int, str]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk, its fused score, and what found it, the largest contribution first."""

    chunk: int
    score: float
    found_by: tuple[str, ...]


def reciprocal_rank_fusion(rankings: Sequence[Ranking]) -> list[Found]:
    """Fuse rankings by weighted reciprocal ranks (Cormack et al., SIGIR 2009); each chunk once, best first."""
    shares: dict[int, list[tuple[float, str]]] = defaultdict(list)
    for ranking in rankings:
        for rank, (chunk, finder) in enumerate(ranking.chunks.items(), start=1):
            shares[chunk].append((ranking.weight / (RRF_K + rank), finder))
    fused = [
        Found(
            chunk,
            sum(share for share, _ in parts),
            tuple(dict.fromkeys(finder for _, finder in sorted(parts, key=lambda part: -part[0]))),
        )
        for chunk, parts in shares.items()
    ]
    return sorted(fused, key=lambda item: (-item.score, item.chunk))
