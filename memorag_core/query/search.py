"""Rank chunks as evidence for a question and its clues: several rankings, fused by reciprocal ranks (RRF).

What the memory model attends to counts beside what the question finds. A clue with a place in the text votes for the
chunk it stands in. A clue without one is a query, with less weight than the question. Sections whose titles the
question or the first results mention form one more ranking.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, islice
from math import log
from statistics import mean
from typing import TYPE_CHECKING

from memorag_core.query.answerable import asked_words
from memorag_core.retrieval.base import Hit, split_allowed
from memorag_core.retrieval.fusion import RRF_K, Found, Ranking, reciprocal_rank_fusion
from memorag_core.types import Chunk, Clue, Recollection

if TYPE_CHECKING:
    from memorag_core.context.corpus import Corpus
    from memorag_core.retrieval.base import Allowed
    from memorag_core.retrieval.cross_encoder import CrossEncoder

ASKED, PLACED, NAMED, UNPLACED = 1.0, 0.05, 1.0, 0.35
"""RRF weights: the question; verified clues (shared); section titles mentioned (shared); unverified clues (shared).

With more, clues with a place push out what the question finds better (measured in docs/log.md).
"""
ATTENDED = 0.05
"""The weight of attention beside what a question finds, both as standard scores; more costs a set evidence."""
APART, SUBJECT, ENOUGH = 0.5, 4.0, 1.2
"""Of several contexts: the share of ranks within each; what a likely one counts beside standard scores; the passages
with a word that half settle what it says of a context."""
LOOKED_AT = 3
JUDGED = 1000
"""So many hits of a search, attention added, have their scores smoothed with those of their neighbours."""

READ_AGAIN = 20
"""The cross-encoder reads this many candidates; those behind them stay behind them."""
REREAD = 0.5
"""The weight of the cross-encoder's order; the question's is 1."""


def search(context: Corpus, question: str, recalled: Recollection, depth: int, allowed: Allowed = None) -> list[Found]:
    """Rank the chunks, of those allowed, that bear on a question, best first; each query brings at most `depth`."""
    asked = _rank_question(context, question, recalled, allowed)
    clues = _search_clues(context, recalled.clues, max(depth, JUDGED), allowed)
    queries = [Ranking(dict(islice(found.chunks.items(), depth)), found.weight) for found in (*asked, *clues)]
    rankings = [*queries, _rank_places(context, recalled.clues)]
    first = reciprocal_rank_fusion(rankings)
    mentions = _rank_mentions(context, question, first)
    named = {chunk: name for chunk, name in mentions.chunks.items() if allowed is None or allowed[chunk]}
    return reciprocal_rank_fusion([*rankings, replace(mentions, chunks=named)])


def _rank_question(context: Corpus, question: str, recalled: Recollection, allowed: Allowed) -> Iterator[Ranking]:
    """Rank what the question finds: of several contexts, in all of them as one, and in each by its own lights.

    What was said over a long stretch was said in one of them.
    """
    apart = (ASKED if recalled.broad else APART) if context.parts else 0.0
    if apart < ASKED:
        yield _rank(_find(context, question, recalled, allowed), question, ASKED - apart)
    if apart:
        yield _rank(_find_apart(context, question, recalled, allowed), question, apart)


def _search_clues(context: Corpus, clues: Sequence[Clue], depth: int, allowed: Allowed) -> Iterator[Ranking]:
    """Search with each clue that has no place in the text."""
    queries = [clue.text for clue in clues if clue.place is None]
    found = context.index.search(queries, depth, allowed) if queries else []
    for query, hits in zip(queries, found, strict=True):
        yield _rank(context.surroundings.smooth(hits), query, UNPLACED / len(queries))


def _rank(hits: Sequence[Hit], query: str, weight: float) -> Ranking:
    return Ranking({hit.chunk: query for hit in hits}, weight)


def _find(context: Corpus, question: str, recalled: Recollection, allowed: Allowed) -> list[Hit]:
    """What the question and attention find, judged with what stands around it."""
    [hits] = context.index.search([question], JUDGED, allowed)
    return context.surroundings.smooth(_add_attention(hits, recalled), recalled.broad)


def _find_apart(context: Corpus, question: str, recalled: Recollection, allowed: Allowed) -> list[Hit]:
    """What is found in each context as if it alone were asked, the more likely contexts first.

    A word that is rare among all texts, but in every passage of one context, says nothing of that one's passages.
    """
    sizes = [len(part.chunks) for part in context.parts]
    firsts = [0, *accumulate(sizes)]
    found: list[Hit] = []
    rated = zip(
        context.parts, firsts, rate_contexts(question, context.parts), split_allowed(allowed, sizes), strict=False
    )
    for part, first, rate, own in rated:
        attended = tuple((n - first, score) for n, score in recalled.attended if 0 <= n - first < len(part.chunks))
        hits = _find(part, question, replace(recalled, attended=attended), own)
        found.extend(Hit(first + hit.chunk, hit.score + SUBJECT * rate) for hit in hits)
    return sorted(found, key=lambda hit: (-hit.score, hit.chunk))


def rate_contexts(question: str, contexts: Sequence[Corpus]) -> list[float]:
    """How likely each context answers: BM25 with contexts for texts, and for each word the passages that have it."""
    sizes = [max(1, len(context.chunks)) for context in contexts]
    rates = [0.0] * len(contexts)
    for word in asked_words(question):
        having = sum(word in context.spread for context in contexts)
        rarity = log(1 + (len(contexts) - having + 0.5) / (having + 0.5))
        for number, (context, size) in enumerate(zip(contexts, sizes, strict=True)):
            passages = context.spread[word] * mean(sizes) / size
            rates[number] += rarity * passages / (passages + ENOUGH)
    return rates


def _add_attention(hits: Sequence[Hit], recalled: Recollection) -> Sequence[Hit]:
    """Add the attention of the memory model to the scores of what a question finds."""
    if not hits or not recalled.attended:
        return hits
    from memorag_core.retrieval.standard_scores import add_scores  # it needs numpy

    return add_scores(hits, dict(recalled.attended), ATTENDED)


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
            if link.name not in passage.headings and not passage.beside(chunks[link.chunk]):
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
