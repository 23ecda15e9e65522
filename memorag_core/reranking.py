"""A second reading: a cross-encoder reads the question with each of the first candidates, and its order is fused in.

It does not replace the order that there was: what the first evidence names answers often without resembling the
question, and a cross-encoder, which sees the question only, would put it last (measured in docs/log.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from memorag_core.retrieval.base import RRF_K
from memorag_core.search import Found
from memorag_core.types import Chunk

if TYPE_CHECKING:
    from memorag_core.retrieval.rerank import Reranker

READ_AGAIN = 20
"""How many candidates are read again; those behind them stay behind them."""
REREAD = 0.5
"""What the cross-encoder's order weighs, beside the question's 1."""


def reranked(found: Sequence[Found], question: str, chunks: Sequence[Chunk], reranker: Reranker) -> list[Found]:
    """The candidates, best first, those read again with the reciprocal of their new rank added to their score."""
    again = found[:READ_AGAIN]
    scores = reranker.scores(question, [chunks[item.chunk].indexed for item in again])
    order = sorted(range(len(again)), key=lambda number: -scores[number])
    moved = [
        replace(again[number], score=again[number].score + REREAD / (RRF_K + rank))
        for rank, number in enumerate(order, start=1)
    ]
    return [*sorted(moved, key=lambda item: (-item.score, item.chunk)), *found[READ_AGAIN:]]
