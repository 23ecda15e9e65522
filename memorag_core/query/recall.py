"""Recall clues by attention: sentences that the memory model attends to when it reads the question. No decoding."""

from __future__ import annotations

import math
from bisect import bisect, bisect_left
from collections.abc import Iterable, Sequence
from heapq import nlargest
from typing import TYPE_CHECKING, Protocol

from memorag_core.query.clues import is_echo
from memorag_core.query.search import JUDGED
from memorag_core.text.chunking import Span
from memorag_core.text.terms import terms
from memorag_core.text.wrapped import whole_sentences
from memorag_core.types import Attended, Clue, Place, Recollection

if TYPE_CHECKING:
    from memorag_core.context.corpus import Corpus
    from memorag_core.retrieval.base import Allowed

MOST = 6
SHORTEST = 3


class Weighing(Protocol):
    """Says how much attention falls on spans of a chunk, given its number and what was indexed of it."""

    def weigh(self, number: int, text: str, spans: Sequence[Span]) -> list[float]:
        """The weight of each span, whose offsets are those of `text`."""


def recall_by_attention(corpus: Corpus, question: str, allowed: Allowed = None) -> Recollection:
    """For each passage with most attention, of those allowed, recall its sentence with most attention, best first.

    Nothing is recalled if the profile has no retrieval heads.
    """
    if corpus.attention is None:
        return Recollection()
    attend = corpus.attention.attend(question, allowed)
    best = attend.best(JUDGED)
    clues = _open(corpus, [hit.chunk for hit in best[:MOST]], attend, question)
    return Recollection(clues, tuple((hit.chunk, hit.score) for hit in best))


def open_clues(
    corpus: Corpus, attended: Iterable[Attended], question: str, allowed: Allowed = None
) -> tuple[Clue, ...]:
    """Open what the memory itself was attended to in, as `recall_by_attention` does: passages, and in each a sentence.

    `attended` is of the documents of the corpus, in their order.
    """
    weights = OpenedText(corpus, attended)
    return _open(corpus, weights.best(MOST, allowed), weights, question)


class OpenedText:
    """The attention on entries of a memory, as attention on the text that each stands for."""

    def __init__(self, corpus: Corpus, attended: Iterable[Attended]) -> None:
        self.chunks = corpus.chunks
        pairs = zip(corpus.documents, attended, strict=True)
        self._attended = {document.id: seen for document, seen in pairs if seen.starts}

    def best(self, k: int, allowed: Allowed) -> list[int]:
        """The numbers of the chunks with most attention."""
        weights = {
            number: self._weight(chunk.place)
            for number, chunk in enumerate(self.chunks if self._attended else ())
            if chunk.document_id in self._attended and (allowed is None or allowed[number])
        }
        return nlargest(k, weights, key=weights.__getitem__)

    def weigh(self, number: int, text: str, spans: Sequence[Span]) -> list[float]:
        """As `Weighing` says."""
        chunk = self.chunks[number]
        into = chunk.start - (len(text) - len(chunk.text))
        return [self._weight(Place(chunk.document_id, start + into, end + into)) for start, end in spans]

    def _weight(self, place: Place) -> float:
        """The attention on a place; an entry that stands across its border has the part inside. Length is no merit."""
        seen = self._attended[place.document_id]
        starts, weights = seen.starts, seen.weights
        inside = found = 0.0
        for number in range(max(0, bisect(starts, place.start) - 1), bisect_left(starts, place.end)):
            start, end = starts[number], starts[number + 1] if number + 1 < len(starts) else place.end
            part = (min(place.end, end) - max(place.start, start)) / max(1, end - start)
            inside += part
            found += part * weights[number]
        return found / math.sqrt(max(1.0, inside))


def _open(corpus: Corpus, numbers: Sequence[int], attend: Weighing, question: str) -> tuple[Clue, ...]:
    clues = (_clue(corpus, number, attend, question) for number in numbers)
    return tuple(clue for clue in clues if clue)


def _clue(corpus: Corpus, number: int, attend: Weighing, question: str) -> Clue | None:
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
