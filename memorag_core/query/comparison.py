"""Whether two things are of the same kind, province, band, as a question asks: by what the text names of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from memorag_core.text.chunking import sentences
from memorag_core.text.terms import HAN, stems

_NAME = r"[A-Z][\w'’-]*+(?: [A-Z][\w'’-]*+){0,5}"
_NAMES = re.compile(_NAME)
_NAME_AND_KIND = re.compile(rf"\b({_NAME}) (\w++)")
_KIND_AND_NAME = re.compile(rf"\b(?=(\w++) (?:of (?:the )?)?({_NAME}))")
_SAME = re.compile(
    r"\bsame (?:U\.S\. )?(?P<kind>[a-z]+)|同一?[个座所支家位条种]?(?P<han>[一-鿿]{1,3}?)(?=[吗的人]|\W|$)"
)
_SUBJECT = re.compile(r"[A-Z][\w'’.-]*(?:(?: (?:of|the|de|la|von|van))* [A-Z(\d][\w'’.()-]*)*")
_OPENING = re.compile(r"^\W*\w+\s+")
_PAIR = re.compile(
    r"(?P<one>[^\s，。和与跟及]{2,12})[和与跟及](?P<other>[^\s，。]{2,12}?)(?=是|都|在|属|来自|位于|为|有)"
)
_RELATED = re.compile(r"\b(?:in|of|at|for|from|with)\b([^.;:()]{1,80})")
_KIND_OF_THING = re.compile(rf"\b(?:is|was|are|were) (?:an?|the) (?:\d+ )?({_NAME})")
_CHAIN = re.compile(rf"\b(?:in|of|at) (?:[a-z]+ ){{0,2}}{_NAME}(?:, {_NAME})*, ({_NAME})")
_CALENDAR = re.compile(
    r"\b(?:January|February|March|April|May|June|July|August|September|October|November|December|[A-Z][a-z]+day)\b"
)
_NATIONS = frozenset(["nationality", "country", "nation", "国家", "国籍", "国"])
_AREAS = _NATIONS | frozenset(
    ["state", "province", "county", "city", "town", "village", "region", "continent", "district", "area", "place"]
)
_BEGINNING, HAN_NAME = 200, 2


def tell_same(question: str, passages: Sequence[str]) -> bool | None:
    """Return whether two subjects that a question names are of the same what it asks; None where the text is silent.

    What stands beside the word that is asked for is compared. Where that word is nowhere, other names tell that two
    things are not of the same; but not areas, which contain each other.
    """
    asked, subjects = _SAME.search(question), _find_subjects(question)
    if asked is None or len(subjects) != 2:
        return None
    kind = asked["kind"] or asked["han"]
    one, other = (_texts_about(own, against, passages) for own, against in (subjects, subjects[::-1]))
    if kind in _NATIONS:
        return _compare(_nations(one), _nations(other))
    found = _beside(kind, one), _beside(kind, other)
    if all(found):
        return _compare(*found)
    if any(found):
        named, silent = (found[0], other) if found[0] else (found[1], one)
        related = _find_related(silent)
        return bool(named & related) if related else None
    return (
        None
        if kind in _AREAS or _find_related(one) & _find_related(other)
        else _compare(_find_related(one), _find_related(other))
    )


def _compare(one: frozenset[str], other: frozenset[str]) -> bool | None:
    return bool(one & other) if one and other else None


def _find_subjects(question: str) -> list[frozenset[str]]:
    """The stems of the things that are compared, those that both have left out."""
    pair = _PAIR.search(question)
    names = pair.groups() if pair else _SUBJECT.findall(_OPENING.sub("", question))
    found = [frozenset(stems(name)) for name in names]
    return [own - frozenset().union(*found[:at], *found[at + 1 :]) for at, own in enumerate(found)]


def _texts_about(own: frozenset[str], other: frozenset[str], passages: Sequence[str]) -> str:
    """Return what is told of one of two: a passage that begins with it alone, or the sentences that name it alone."""

    def names_it(text: str) -> bool:
        there = frozenset(stems(text))
        return own <= there and not other <= there

    def parts() -> Iterator[str]:
        for text in passages:
            whole = names_it(text[:_BEGINNING]) and not other <= frozenset(stems(text))
            cut = [text] if whole else [text[start:end] for start, end in sentences(text)]
            yield from filter(names_it, cut)

    return "\n".join(parts())


def _beside(kind: str, text: str) -> frozenset[str]:
    """The names beside a word: `Sorland province`, `the state of Oregon`, `the band Tidewater`, 河东省."""
    if not kind.isascii():
        before = (part[-HAN_NAME:] for part in text.split(kind)[:-1])
        return frozenset(name for name in before if len(name) == HAN_NAME and all(map(HAN.match, name)))
    first = (match.groups() for match in _NAME_AND_KIND.finditer(text))
    last = (match.groups()[::-1] for match in _KIND_AND_NAME.finditer(text))
    return frozenset(name for name, word in (*first, *last) if word.lower() == kind)


def _find_related(text: str) -> frozenset[str]:
    """The names that something is in, of or from; dates are none."""
    parts = _RELATED.findall(_CALENDAR.sub("", text))
    return frozenset(name for part in parts for name in _NAMES.findall(part))


def _nations(text: str) -> frozenset[str]:
    """What kind of American, South Korean or other thing it is said to be; else the last of `Lombardy, Italy`."""
    kinds = frozenset(word for kind in _KIND_OF_THING.findall(text) for word in kind.replace("-", " ").split())
    return kinds or frozenset(_CHAIN.findall(text))
