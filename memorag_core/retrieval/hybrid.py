"""Combine several retrievers: each scores the texts in its own way, and their z-scores are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memorag_core.concurrency.progress import ProgressScope
from memorag_core.retrieval.base import Allowed, Finder, Hit, Index, Retriever
from memorag_core.retrieval.standard_scores import standardize

DEPTH = 1000
"""How many hits of each member are compared at least."""


class HybridRetriever(Retriever["HybridIndex"]):
    """The mean of its members' standard scores (zero mean, unit variance: Montague and Aslam, CIKM 2001).

    Ranks would forget how sure a member is. A score far above the others of its query counts for much; where a member
    cannot tell the texts apart, as an English embedder in a Chinese text, none of its scores stands out, and the other
    member decides (measured in docs/log.md).
    """

    def __init__(self, members: Sequence[Retriever[Any]]) -> None:
        """Take retrievers that write files of different names; the first says how long a text may be."""
        self.members = members
        self.model_id = members[0].model_id
        self.revision = members[0].revision

    @property
    def max_tokens(self) -> int:
        return self.members[0].max_tokens

    def count(self, texts: Sequence[str]) -> list[int]:
        return self.members[0].count(texts)

    def index(self, texts: Sequence[str], progress: ProgressScope) -> HybridIndex:
        return HybridIndex([member.index(texts, part) for member, part in self._split(progress)])

    def update(
        self, index: HybridIndex, old: Sequence[str], new: Sequence[str], progress: ProgressScope
    ) -> HybridIndex:
        pairs = zip(self._split(progress), index.members, strict=True)
        return HybridIndex([member.update(one, old, new, part) for (member, part), one in pairs])

    def load(self, folder: Path) -> HybridIndex:
        return HybridIndex([member.load(folder) for member in self.members])

    def merge(self, indexes: Sequence[HybridIndex], sizes: Sequence[int]) -> ScoreFusion:
        held = zip(*(index.members for index in indexes), strict=True)
        return ScoreFusion([member.merge(those, sizes) for member, those in zip(self.members, held, strict=True)])

    def settings(self) -> dict[str, Any]:
        first, *others = self.members
        with_others = [{"model": other.model_id, "revision": other.revision} | other.settings() for other in others]
        return first.settings() | {"with": with_others}

    def _split(self, progress: ProgressScope) -> list[tuple[Retriever[Any], ProgressScope]]:
        """Each member with its share of the progress."""
        return list(zip(self.members, progress.split(len(self.members)), strict=True))


class ScoreFusion(Finder):
    """What several find in the same texts, fused."""

    def __init__(self, finders: Sequence[Finder]) -> None:
        self.finders = finders

    def search(self, queries: Sequence[str], k: int, allowed: Allowed = None) -> list[list[Hit]]:
        found = zip(*(finder.search(queries, max(k, DEPTH), allowed) for finder in self.finders), strict=True)
        return [fuse_zscores(rankings)[:k] for rankings in found]


class HybridIndex(ScoreFusion, Index):
    """One index of each member, of the same texts."""

    def __init__(self, members: Sequence[Index]) -> None:
        super().__init__(members)
        self.members = members

    def save(self, folder: Path) -> None:
        for member in self.members:
            member.save(folder)


def fuse_zscores(rankings: Sequence[Sequence[Hit]]) -> list[Hit]:
    """All texts of some rankings of one query by the mean of their standard scores, best first."""
    texts = sorted({hit.chunk for ranking in rankings for hit in ranking})
    means = np.mean([_zscores(ranking, texts) for ranking in rankings], axis=0)
    hits = [Hit(text, float(score)) for text, score in zip(texts, means, strict=True)]
    return sorted(hits, key=lambda hit: (-hit.score, hit.chunk))


def _zscores(ranking: Sequence[Hit], texts: Sequence[int]) -> NDArray[np.float64]:
    """Scores (texts,) with mean 0 and variance 1; a text that was not found has the lowest, and alike are all 0."""
    scores = {hit.chunk: hit.score for hit in ranking}
    lowest = min(scores.values(), default=0.0)
    return standardize(np.array([scores.get(text, lowest) for text in texts], dtype=np.float64))
