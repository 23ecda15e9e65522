"""Several retrievers as one: each ranks the texts in its own way, and the rankings are fused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from memorag_core.retrieval.base import Finder, Hit, Index, Retriever, fuse, share_of
from memorag_core.types import OnStep

DEPTH = 100


class HybridRetriever(Retriever):
    """Reciprocal rank fusion of what its members find; the score of a hit is the fused one."""

    def __init__(self, members: Sequence[Retriever]) -> None:
        """Take retrievers that write files of different names; the first says how long a text may be."""
        self.members = members
        self.model_id = members[0].model_id
        self.revision = members[0].revision

    @property
    def max_tokens(self) -> int:
        return self.members[0].max_tokens

    def count(self, texts: Sequence[str]) -> list[int]:
        return self.members[0].count(texts)

    def index(self, texts: Sequence[str], on_step: OnStep) -> HybridIndex:
        return HybridIndex([member.index(texts, step) for member, step in self._staged(on_step)])

    def update(self, index: Index, old: Sequence[str], new: Sequence[str], on_step: OnStep) -> HybridIndex:
        held = cast(HybridIndex, index).members
        staged = zip(self._staged(on_step), held, strict=True)
        return HybridIndex([member.update(one, old, new, step) for (member, step), one in staged])

    def load(self, folder: Path) -> HybridIndex:
        return HybridIndex([member.load(folder) for member in self.members])

    def united(self, indexes: Sequence[Index], sizes: Sequence[int]) -> Fusion:
        held = zip(*(cast(HybridIndex, index).members for index in indexes), strict=True)
        return Fusion([member.united(those, sizes) for member, those in zip(self.members, held, strict=True)])

    def settings(self) -> dict[str, Any]:
        first, *others = self.members
        with_others = [{"model": other.model_id, "revision": other.revision} | other.settings() for other in others]
        return first.settings() | {"with": with_others}

    def _staged(self, on_step: OnStep) -> list[tuple[Retriever, OnStep]]:
        """Each member with its share of the steps."""
        return [(member, share_of(number, len(self.members), on_step)) for number, member in enumerate(self.members)]


class Fusion(Finder):
    """What several find in the same texts, fused."""

    def __init__(self, finders: Sequence[Finder]) -> None:
        self.finders = finders

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        found = zip(*(finder.search(queries, max(k, DEPTH)) for finder in self.finders), strict=True)
        fused = (fuse(rankings, [1.0] * len(rankings)) for rankings in found)
        return [[Hit(item.chunk, item.score) for item in ranking[:k]] for ranking in fused]


class HybridIndex(Fusion, Index):
    """One index of each member, of the same texts."""

    def __init__(self, members: Sequence[Index]) -> None:
        super().__init__(members)
        self.members = members

    def save(self, folder: Path) -> None:
        for member in self.members:
            member.save(folder)
