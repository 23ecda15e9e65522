"""Sentences of the evidence as they are compared with a claim: clauses, values, words, and whom they speak of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from memorag_core.text.terms import HAN, content_stems, stems, stop_words
from memorag_core.text.values import Value, ValueReading, read_values

_BREAK = re.compile(r"[;；，]|(?:,|(?<!\s))\s++(?:while|whereas)\b|,(?=\s+(?:and|but|so|yet|or)\b)")
_AND = re.compile(r"\band\b")
_PRONOUN = re.compile(
    r"(?i)^\W*(?:he|she|it|they|we|i|you|this|that|these|those|who|which|his|her|its|their|there|both|one)\b"
    r"|^\W*[他她它其该此这那本]"
)
_NAME = re.compile(r"(?<=\w\W)[A-Z]\w+")  # but the first word, which is capital anyway
_ADVERB = re.compile(r"[在于从自当则也就并而但和与及将又已还其由因以随据对按把被是的，]")
_LEADING = frozenset(
    stems(
        "according about only nearly almost then later also however yes no but if when after before during since "
        "until while because all"
    )
)


@dataclass(frozen=True)
class Statement:
    """A clause, a sentence or a few of them."""

    text: str
    reading: ValueReading = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reading", read_values(self.text))

    @cached_property
    def values(self) -> frozenset[Value]:
        """What is stated, and what may be said of it."""
        return self.reading.values | self.reading.implied

    @cached_property
    def stems(self) -> frozenset[str]:
        """All stems."""
        return frozenset(stems(self.text)) | frozenset(stems(self.reading.rest))

    @cached_property
    def words(self) -> frozenset[str]:
        """The stems that carry meaning, values left out."""
        return content_stems(self.reading.rest)

    @cached_property
    def names(self) -> frozenset[str]:
        """The stems of capital words but the first."""
        return frozenset(stems(" ".join(_NAME.findall(self.text))))

    @cached_property
    def subject(self) -> str:
        """The first word that carries meaning; in Chinese, the first two characters; none where it is a pronoun."""
        rest = self.reading.rest.strip()
        if _PRONOUN.search(rest):
            return ""
        if HAN.search(rest[:2]):
            han = _ADVERB.sub("", "".join(HAN.findall(rest)))
            return han[:2] if len(han) > 1 else ""
        return next((s for s in stems(rest) if s not in stop_words() and s not in _LEADING), "")

    def clauses(self) -> list[Statement]:
        """The clauses of a sentence: cut at commas, and at an `and` between two figures."""
        parts = [piece for part in _BREAK.split(self.text) for piece in _cut_and(part)]
        return [Statement(part.strip()) for part in parts if part.strip()]


def _cut_and(part: str) -> Iterator[str]:
    pieces = _AND.split(part)
    if len(pieces) > 1 and all(read_values(piece).values and content_stems(piece) for piece in pieces):
        yield from pieces
    else:
        yield part.strip().removeprefix("and ")


def refers_back(text: str) -> bool:
    """Whether a sentence begins with a pronoun, and so speaks of what stands before it."""
    return _PRONOUN.search(text) is not None


def admits(clause: Statement, claim: Statement, before: str) -> bool:
    """Whether a clause speaks of the claim's subject: names it, goes on about it, or has no subject of its own."""
    subject = claim.subject
    if not subject or subject in clause.stems:
        return True
    own = clause.subject
    if own and own not in claim.stems:
        return False
    return subject in frozenset(stems(before)) or not (own or _PRONOUN.search(clause.text))
