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
_BRACKETS = re.compile(r"[(（][^()（）]*[)）]")
_SOURCE = re.compile(
    r"(?i)^\W*(?:according to|in the (?:view|opinion|words) of)\b([^,]{1,60}),\s*|^(?:根?据|按照?)([^，]{1,30})，"
)
_REPORT = re.compile(
    r"(?i)\b(?:said|say|thought|held|knew|told|wrote|(?:add|announc|argu|assert|believ|claim|conced|confirm|den[iy]|doubt|emphasi[sz]|"
    r"explain|fear|hold|hop|insist|know|maintain|note|point|report|reveal|stat|stress|suggest|tell|think|warn|writ)"
    r"(?:e|es|s|ed|ing|d|ies|ied|y)?)(?: out)? that\b|[认以]为|表示|指出|强调|声称|(?<!小)说"
)
ITEM, LOOKED_BACK = 2, 200
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
        parts = [piece for part in _cut_clauses(self.text) for piece in _cut_and(part)]
        return [Statement(part.strip()) for part in parts if part.strip()]

    @cached_property
    def source(self) -> frozenset[str]:
        """The stems of whom the statement names as its source, at its beginning."""
        named = _SOURCE.search(self.text)
        return content_stems(named[1] or named[2]) if named else frozenset()

    def without_source(self) -> Statement:
        """What the source is said to say."""
        return Statement(_SOURCE.sub("", self.text))

    @property
    def reports(self) -> bool:
        """Whether it tells what somebody says or thinks."""
        return _REPORT.search(self.text) is not None


def _cut_clauses(text: str) -> Iterator[str]:
    start = 0
    for border in _BREAK.finditer(text):
        if not _is_listed(text[max(start, border.start() - LOOKED_BACK) : border.start()]):
            yield text[start : border.start()]
            start = border.end()
    yield text[start:]


def _is_listed(before: str) -> bool:
    """Whether a comma stands behind an item of a list, as the last in `flour, salt, and oil`; `Ida left` is none."""
    _, comma, item = _BRACKETS.sub("", before).rpartition(",")
    words = item.split()
    told = len(words) == ITEM and words[0][0].isupper() and words[1][0].islower()
    return bool(comma) and 1 <= len(words) <= ITEM and not told and words[0] not in ("and", "but", "or")


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
