"""Rank chunks as evidence for a question and its clues: several rankings, fused by reciprocal ranks (RRF).

What the memory model attends to counts beside what the question finds. A clue with a place in the text votes for the
chunk it stands in. A clue without one is a query, with less weight than the question. Sections whose titles the
question or the first results mention form one more ranking.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from memorag_core.retrieval.fusion import RRF_K, Found, Ranking, reciprocal_rank_fusion
from memorag_core.types import Chunk, Clue, Recollection

if TYPE_CHECKING:
    from memorag_core.context.corpus import Corpus
    from memorag_core.retrieval.base import Allowed, Hit
    from memorag_core.retrieval.cross_encoder import CrossEncoder

ASKED, PLACED, NAMED, UNPLACED = 1.0, 0.05, 1.0, 0.35
"""RRF weights: the question; verified clues (shared); section titles mentioned (shared); unverified clues (shared).

With more, clues with a place push out what the question finds better (measured in docs/log.md).
"""
ATTENDED, ATTENDED_BROAD = 0.05, 0.3
"""The weight of attention beside what a question finds, both as standard scores; more costs a set evidence.

For a broad question it is the mean of a long stretch that counts, so what attention gets wrong is evened out.
"""
LOOKED_AT = 3
JUDGED = 1000
"""This many hits of a search have their scores smoothed with those of their neighbours."""

READ_AGAIN = 20
"""The cross-encoder reads this many candidates; those behind them stay behind them."""
REREAD = 0.5
"""The weight of the cross-encoder's order; the question's is 1."""


def search(context: Corpus, question: str, recalled: Recollection, depth: int, allowed: Allowed = None) -> list[Found]:
    """Rank the chunks, of those allowed, that bear on a question, best first; each query brings at most `depth`."""
    rankings = [*_search_queries(context, question, recalled, depth, allowed), _rank_places(context, recalled.clues)]
    first = reciprocal_rank_fusion(rankings)
    mentions = _rank_mentions(context, question, first)
    named = {chunk: name for chunk, name in mentions.chunks.items() if allowed is None or allowed[chunk]}
    return reciprocal_rank_fusion([*rankings, replace(mentions, chunks=named)])


def _search_queries(
    context: Corpus, question: str, recalled: Recollection, depth: int, allowed: Allowed
) -> Iterator[Ranking]:
    """Search with the question, and with each clue that has no place in the text."""
    others = [clue.text for clue in recalled.clues if clue.place is None]
    weights = [ASKED, *(UNPLACED / len(others) for _ in others)]
    queries = [question, *others]
    asked, *found = context.index.search(queries, max(depth, JUDGED), allowed)
    smooth = context.surroundings.smooth
    smoothed = [smooth(_add_attention(asked, recalled), recalled.broad), *map(smooth, found)]
    for query, hits, weight in zip(queries, smoothed, weights, strict=True):
        yield Ranking({hit.chunk: query for hit in hits[:depth]}, weight)


def _add_attention(hits: Sequence[Hit], recalled: Recollection) -> Sequence[Hit]:
    """Add the attention of the memory model to the scores of what a question finds."""
    if not hits or not recalled.attended:
        return hits
    from memorag_core.retrieval.standard_scores import add_scores  # it needs numpy

    weight = ATTENDED_BROAD if recalled.broad else ATTENDED
    return add_scores(hits, dict(recalled.attended), weight)


def _rank_places(context: Corpus, clues: Sequence[Clue]) -> Ranking:
    """Rank the chunks in which clues stand."""
    chunks: dict[int, str] = {}
    for clue in clues:
        if clue.place is not None and (number := context.chunk_at(clue.place)) is not None:
            chunks.setdefault(number, clue.text)
    return Ranking(chunks, PLACED)


def _rank_mentions(context: Corpus, question: str, ranked: Sequence[Found]) -> Ranking:
    """Rank the sections whose titles the question or the first evidence mentions, best first as in `ranked`."""
    chunks, titles = context.chunks, context.titles
    named = {link.chunk: link.name for link in titles.find_mentions(question)}
    for passage in (chunks[found.chunk] for found in ranked[:LOOKED_AT]):
        for link in titles.find_mentions(passage.text):
            if not passage.beside(chunks[link.chunk]):
                named.setdefault(link.chunk, link.name)
    scores = {found.chunk: found.score for found in ranked}
    return Ranking({chunk: named[chunk] for chunk in sorted(named, key=lambda n: -scores.get(n, 0.0))}, NAMED)


def rerank(found: Sequence[Found], question: str, chunks: Sequence[Chunk], reranker: CrossEncoder) -> list[Found]:
    """Rerank the first candidates: add the reciprocal of their rank by the cross-encoder to their score, and sort."""
    again = found[:READ_AGAIN]
    scores = reranker.scores(question, [chunks[item.chunk].indexed for item in again])
    order = sorted(range(len(again)), key=lambda number: -scores[number])
    moved = [
        replace(again[number], score=again[number].score + REREAD / (RRF_K + rank))
        for rank, number in enumerate(order, start=1)
    ]
    return [*sorted(moved, key=lambda item: (-item.score, item.chunk)), *found[READ_AGAIN:]]
