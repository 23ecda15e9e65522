"""Recall clues by attention: sentences that the memory model attends to when it reads the question. No decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memorag_core.query.clues import is_echo
from memorag_core.text.chunking import Span, sentences
from memorag_core.text.terms import terms
from memorag_core.types import Chunk, Clue, Place

if TYPE_CHECKING:
    from memorag_core.context.corpus import Corpus
    from memorag_core.retrieval.attention import QueryAttention

MOST = 6
SHORTEST = 3


def attention_clues(corpus: Corpus, question: str) -> list[Clue]:
    """For each passage with most attention, return its sentence with most attention, best first.

    Returns nothing if the profile has no retrieval heads.
    """
    if corpus.attention is None:
        return []
    attend = corpus.attention.attend(question)
    clues = (_clue(corpus.chunks[hit.chunk], hit.chunk, attend, question) for hit in attend.best(MOST))
    return [clue for clue in clues if clue]


def _clue(chunk: Chunk, number: int, attend: QueryAttention, question: str) -> Clue | None:
    spans = [span for span in sentences(chunk.text) if _says_more(chunk.text[slice(*span)], question)]
    if not spans:
        return None
    before = len(chunk.indexed) - len(chunk.text)
    weights = attend.weigh(number, chunk.indexed, _shift(spans, before))
    start, end = spans[weights.index(max(weights))]
    place = Place(chunk.document_id, chunk.start + start, chunk.start + end)
    return Clue(chunk.text[start:end], "attended", place)


def _shift(spans: Sequence[Span], by: int) -> list[Span]:
    return [(start + by, end + by) for start, end in spans]


def _says_more(text: str, question: str) -> bool:
    return len(set(terms(text))) >= SHORTEST and not is_echo(text, question)
