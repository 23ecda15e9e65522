"""Choose quotes for an answer: sentences of the evidence, to the letter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log

from memorag_core.query.grounding import Judgement
from memorag_core.text.pages import page_of
from memorag_core.text.source_text import SourceText
from memorag_core.text.terms import terms
from memorag_core.text.wrapped import whole_sentences
from memorag_core.types import Citation, Claim, Passage, Place


def cite(
    text: str, question: str, passages: Sequence[Passage], texts: SourceText, most: int = 3
) -> tuple[Citation, ...]:
    """Quote the sentences of the evidence that share most with the answer, best first; rare words count more.

    Every quote is cut from its document by its offsets, so it is verbatim by construction.
    """
    found = (
        Place(passage.chunk.document_id, start, end)
        for passage in passages
        for start, end in whole_sentences(
            texts.documents[passage.chunk.document_id].text, passage.chunk.start, passage.chunk.end
        )
    )
    places = list(dict.fromkeys(found))
    bags = [set(terms(texts.at(place))) for place in places]
    spread = Counter(word for bag in bags for word in bag)
    answered, asked = set(terms(text)), set(terms(question))
    scores = [
        sum((1.0 if word in answered else 0.3) * log(1 + len(bags) / spread[word]) for word in bag & (answered | asked))
        / (8 + len(bag)) ** 0.5
        for bag in bags
    ]
    best = sorted(range(len(places)), key=lambda i: (-scores[i], i))[:most]
    floor = scores[best[0]] / 2 if best else 0.0
    return tuple(quote_place(places[i], texts) for i in best if scores[i] > 0 and scores[i] >= floor)


def link_claims(
    judged: Sequence[Judgement], citations: Sequence[Citation], passages: Sequence[Passage], texts: SourceText
) -> tuple[tuple[Citation, ...], tuple[Claim, ...]]:
    """Name for each sentence the quotes that bear it out, which are added to the citations where they are not there."""
    quotes = list(citations)
    claims = []
    for one in judged:
        numbers = []
        for start, end in one.spans if one.support != "not found" else ():
            chunk = passages[one.passage].chunk
            whole = whole_sentences(texts.documents[chunk.document_id].text, chunk.start + start, chunk.start + end)
            place = Place(chunk.document_id, *next(whole))
            known = (number for number, quote in enumerate(quotes) if quote.place == place)
            number = next(known, len(quotes))
            if number == len(quotes):
                quotes.append(quote_place(place, texts))
            numbers.append(number)
        claims.append(Claim(one.claim, one.support, tuple(numbers)))
    return tuple(quotes), tuple(claims)


def quote_place(place: Place, texts: SourceText) -> Citation:
    """Quote what stands there."""
    document = texts.documents[place.document_id]
    page = page_of(document.pages, place.start)
    return Citation(document.id, document.title, place.start, place.end, texts.at(place), page)
