"""The texts of a context, in which words are looked up: where they stand to the letter, or nearly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from heapq import nlargest

from rapidfuzz.fuzz import partial_ratio_alignment

from memorag_core.text.chunking import Span, sentences
from memorag_core.text.normal import normalize
from memorag_core.text.terms import terms
from memorag_core.types import Chunk, Document, Place

VERIFIABLE = 5
SHARE = 0.8
ALIKE = 60.0
CANDIDATES = 3
LONGEST_SPAN = 400

_NUMBER = re.compile(
    r"\d+(?:[.,:]\d+)*|[〇零一二三四五六七八九十百千万萬亿億两兩]+|\b(?:(?:twen|thir|for|fif|six|seven|eigh|nine)ty|one|two|"
    r"three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|hundred|"
    r"thousand|million|billion|dozen|half|first|second|third)\b"
)
_FIGURES = {
    word: str(number)
    for counted in (
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
        "一二三四五六七八九十",
    )
    for number, word in enumerate(counted, start=1)
}


class SourceText:
    """Documents with the chunks they were cut into. `bags` holds the terms of each chunk."""

    def __init__(self, documents: Sequence[Document], chunks: Sequence[Chunk]) -> None:
        self.documents = {document.id: document for document in documents}
        self.chunks = chunks

    @cached_property
    def bags(self) -> list[frozenset[str]]:
        """The terms of each chunk."""
        return [frozenset(terms(chunk.text)) for chunk in self.chunks]

    def at(self, place: Place) -> str:
        """What stands there, to the letter."""
        return self.documents[place.document_id].text[place.start : place.end]

    def find(self, words: str) -> Place | None:
        """The sentences that `words` repeat, nearly all of them and every number; None where there are none such."""
        own = frozenset(terms(words))
        if len(own) < VERIFIABLE:
            return None
        shares = ((len(own & bag), -number) for number, bag in enumerate(self.bags))
        near = [-number for shared, number in nlargest(CANDIDATES, shares) if shared * 2 >= len(own)]
        found = ((place, self._share(own, place)) for number in near for place in self._alike(words, number))
        best, share = max(found, key=lambda item: item[1], default=(None, 0.0))
        return best if share >= SHARE else None

    def _share(self, own: frozenset[str], place: Place) -> float:
        return len(own & frozenset(terms(self.at(place)))) / len(own)

    def _alike(self, words: str, number: int) -> Iterator[Place]:
        """What is most like `words` in a chunk or beside it: whole sentences, and where they are too long, a piece."""
        document_id = self.chunks[number].document_id
        text, (low, high) = self.documents[document_id].text, self._around(number)
        alignment = partial_ratio_alignment(_fold(words), _fold(text[low:high]), score_cutoff=ALIKE)
        if alignment is None:
            return
        core = low + alignment.dest_start, low + alignment.dest_end
        for start, end in (_sentences_of(text, core, (low, high)), _words_of(text, core)):
            if end - start <= max(LONGEST_SPAN, len(words)) and _in_order(numbers(words), numbers(text[start:end])):
                yield Place(document_id, start, end)

    def _around(self, number: int) -> Span:
        """Where a chunk stands in its document, with its neighbours."""
        chunk = self.chunks[number]
        beside = [c for c in self.chunks[max(0, number - 1) : number + 2] if c.document_id == chunk.document_id]
        return beside[0].start, beside[-1].end


def numbers(text: str) -> list[str]:
    """The numbers of a text in their order, in figures or words, small ones as figures; thousands are not set apart."""
    found = _NUMBER.findall(normalize("NFKC", text).lower())
    return [_FIGURES.get(number, number.replace(",", "")) for number in found]


def _in_order(wanted: Sequence[str], there: Sequence[str]) -> bool:
    rest = iter(there)
    return all(number in rest for number in wanted)


def _sentences_of(text: str, core: Span, around: Span) -> Span:
    """The sentences of which the core holds most, or which hold most of the core; that with most of it at least."""
    spans = list(sentences(text, *around))
    shared = [min(core[1], end) - max(core[0], start) for start, end in spans]
    held = [
        span for span, size in zip(spans, shared, strict=True) if size * 2 > min(span[1] - span[0], core[1] - core[0])
    ]
    return (held[0][0], held[-1][1]) if held else spans[shared.index(max(shared))]


def _words_of(text: str, core: Span) -> Span:
    """The core with the words that it cuts, without the white space around it; scripts without spaces are not cut."""
    start, end = core
    while 0 < start < len(text) and _is_one_word(text[start - 1], text[start]):
        start -= 1
    while 0 < end < len(text) and _is_one_word(text[end - 1], text[end]):
        end += 1
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())


def _is_one_word(left: str, right: str) -> bool:
    return left.isalnum() and right.isalnum() and len(terms(left + right)) == 1


def _fold(text: str) -> str:
    """The text without case, width and kinds of white space and quotes, as long as before."""
    return "".join(map(_letter, text))


@lru_cache(maxsize=1 << 14)
def _letter(character: str) -> str:
    if character.isspace():
        return " "
    plain = normalize("NFKC", character).lower().translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'})
    return plain if len(plain) == 1 else character
