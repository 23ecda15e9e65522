"""Whole sentences of a text: lines may be wrapped within one, and what goes on with a small letter is no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from unicodedata import east_asian_width

from memorag_core.text.chunking import Span, sentences

SAMPLE = 200_000
LINES, WIDTHS = 4, (40, 120)
FULL = 0.75
SHARE = 0.5
AROUND = 1500

_GLUED = re.compile(r"(?<=[a-z\]]{3}[.!?])(?=[A-Z][a-z]* )")
_ENDS = re.compile(r"[.!?…。！？；:：][\"'”’」』)\]）]*\s*\Z")
LONGEST_END = 8
_SMALL = re.compile(r"[(\[]?[a-zà-öø-ÿа-яα-ω]")
_CELLS = re.compile(r"\s\|\s|\t|(?<!\S)(?:[^\s,;]*+[,;](?=\S)){3}")
"""What a row of a table has."""
_MARK = re.compile(r"\s*(?:[-*•·|>#]|\d{1,3}[.)、]|[（(]?[一二三四五六七八九十]+[、）)])")


def whole_sentences(text: str, start: int, end: int) -> Iterator[Span]:
    """The sentences of a text that stand in `text[start:end]`, each whole, also beyond these borders."""
    low, high = _paragraphs(text, start, end)
    spans = _join(text, low, high, 1 if is_wrapped(text) else 0)
    return (span for whole in spans for span in _split_glued(text, whole) if span[0] < end and span[1] > start)


def sentences_across_lines(text: str, start: int, end: int) -> Iterator[Span]:
    """The sentences of `text[start:end]`, over the ends of lines where the text is wrapped; else lines end them."""
    return _join(text, start, end, 1) if is_wrapped(text) else sentences(text, start, end)


@lru_cache(maxsize=64)
def is_wrapped(text: str) -> bool:
    """Whether lines are broken at some width: most that another line follows at once are about as long, and go on."""
    lines = text[:SAMPLE].split("\n")
    inner = [line.rstrip() for line, after in pairwise(lines) if line.strip() and after.strip()]
    widths = sorted(map(_width, inner))
    if len(widths) < LINES:
        return False
    widest = widths[int(len(widths) * 0.95)]
    full = sum(FULL * widest <= width for width in widths)
    open_ended = sum(not _ENDS.search(line) for line in inner)
    return WIDTHS[0] <= widest <= WIDTHS[1] and min(full, open_ended) >= SHARE * len(inner)


def _width(line: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in line)


def _paragraphs(text: str, start: int, end: int) -> Span:
    """The paragraphs in which something stands, as far as they are near."""
    low = text.rfind("\n\n", max(0, start - AROUND), start)
    high = text.find("\n\n", end, end + AROUND)
    return (low if low >= 0 else max(0, start - AROUND)), (high if high >= 0 else min(len(text), end + AROUND))


def _join(text: str, low: int, high: int, most: int) -> Iterator[Span]:
    """Sentences with what one of them goes on with, over `most` ends of lines."""
    whole: Span | None = None
    for start, end in sentences(text, low, high):
        if whole and text.count("\n", whole[1], start) <= most and _goes_on(text, whole, (start, end)):
            whole = whole[0], end
        else:
            if whole:
                yield whole
            whole = start, end
    if whole:
        yield whole


def _split_glued(text: str, span: Span) -> Iterator[Span]:
    """Sentences that stand together without a space: `… declined.In late January …`."""
    borders = [span[0], *(match.start() for match in _GLUED.finditer(text, *span)), span[1]]
    yield from pairwise(borders)


def _goes_on(text: str, before: Span, after: Span) -> bool:
    """Whether what stands behind a sentence is the rest of it: a line after one without an end, or a small letter."""
    if _SMALL.match(text, *after):
        return not text[before[0]].islower()
    if "\n" not in text[before[1] : after[0]] or text.startswith("#", before[0]) or _MARK.match(text, *after):
        return False
    if _CELLS.search(text, *after) or _CELLS.search(text, max(before[0], text.rfind("\n", *before)), before[1]):
        return False
    return not _ENDS.search(text, max(before[0], before[1] - LONGEST_END), before[1])
