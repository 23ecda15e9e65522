"""Recall clues by attention: sentences that the memory model attends to when it reads the question. No decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memorag_core.query.clues import is_echo
from memorag_core.text.chunking import Span
from memorag_core.text.terms import terms
from memorag_core.text.wrapped import whole_sentences
from memorag_core.types import Clue, Place, Recollection

if TYPE_CHECKING:
    from memorag_core.context.corpus import Corpus
    from memorag_core.retrieval.attention import QueryAttention
    from memorag_core.retrieval.base import Allowed

MOST = 6
JUDGED = 1000
"""The attention on so many passages counts when evidence is searched for."""
SHORTEST = 3


def recall_by_attention(corpus: Corpus, question: str, allowed: Allowed = None) -> Recollection:
    """For each passage with most attention, of those allowed, recall its sentence with most attention, best first.

    Nothing is recalled if the profile has no retrieval heads.
    """
    if corpus.attention is None:
        return Recollection()
    attend = corpus.attention.attend(question, allowed)
    best = attend.best(JUDGED)
    clues = (_clue(corpus, hit.chunk, attend, question) for hit in best[:MOST])
    return Recollection(tuple(clue for clue in clues if clue), tuple((hit.chunk, hit.score) for hit in best))


def _clue(corpus: Corpus, number: int, attend: QueryAttention, question: str) -> Clue | None:
    chunk = corpus.chunks[number]
    text = corpus.texts.documents[chunk.document_id].text
    spans = [s for s in whole_sentences(text, chunk.start, chunk.end) if _says_more(text[slice(*s)], question)]
    if not spans:
        return None
    weights = attend.weigh(number, chunk.indexed, _shift(spans, len(chunk.indexed) - len(chunk.text) - chunk.start))
    start, end = spans[weights.index(max(weights))]
    return Clue(text[start:end], "attended", Place(chunk.document_id, start, end))


def _shift(spans: Sequence[Span], by: int) -> list[Span]:
    return [(start + by, end + by) for start, end in spans]


def _says_more(text: str, question: str) -> bool:
    return len(set(terms(text))) >= SHORTEST and not is_echo(text, question)
