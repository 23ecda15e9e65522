"""Text to chunks on paragraph and sentence borders, within a token limit, each exactly `text[start:end]`."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from memorag_core.text.slices import find_all

Span = tuple[int, int]
Count = Callable[[Sequence[str]], list[int]]
"""Token counts of texts, without special tokens."""

_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’“»)\]]*+(?=\s)|[。！？；｡؟۔।]+[”’」』）»]*|\n+")
_ABBREVIATED = re.compile(
    r"\b(?:[A-Za-z]|Mr|Mrs|Ms|Dr|St|Prof|Capt|Gen|Col|Lt|Sgt|Rev|Hon|Jr|Sr|vs|cf|No|Nos|e\.g|i\.e"
    r"|bzw|ca|Nr|Abs|Sra|Srta|Dra|Ud|Uds|EE|UU|ej|pág|Mme|Mlle)\.\Z"
)
_ORDINAL = re.compile(r"(?<!\d)\d{1,2}\.\Z")
_COUNTED = re.compile(r"\s(?:[a-zà-öø-ÿа-яё]|J[aä]n|Feb|März|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez|Jahrh)")
"""What an ordinal number of German and its neighbours stands before: a small letter, a month, a century."""
_LONGEST_ABBREVIATION = 6
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")
_WORD = re.compile(r"\S+\s*")
_LINE_END = re.compile(r"\n\s*")
_HEADING = re.compile(r"^(#{1,6}+)[^\S\n]++(\S[^\n]*+)", re.MULTILINE)  # possessive: linear on any text
_FENCE = re.compile(r"^(?:```|~~~)", re.MULTILINE)
LONGEST_HEADING = 80
CHARACTERS_A_TOKEN = 12
"""Words have less; a tokenizer that takes a word of any length for one token would make one chunk of 16 KB of hex."""
LONGEST_WORD = 10_000
"""How far from its middle a text is looked through for a place between words."""
SENTENCES_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the text below it, up to the next one: `text[start:end]`; no title before the first heading.

    `above` are the headings that it stands under, outermost first.
    """

    start: int
    end: int
    title: str = ""
    above: tuple[str, ...] = ()

    @property
    def path(self) -> tuple[str, ...]:
        """Its headings, outermost first; nothing before the first heading."""
        return (*self.above, self.title) if self.title else self.above


def sections(text: str) -> Iterator[Section]:
    """The parts of a text under its Markdown headings, covering all of it.

    A heading with nothing below it belongs to the next one; `#` lines in fenced code are no headings.
    """
    fences = [match.start() for match in find_all(_FENCE, text, 0, len(text))]
    heads = (match for match in find_all(_HEADING, text, 0, len(text)) if bisect(fences, match.start()) % 2 == 0)
    head, start, path = next(heads, None), 0, list[tuple[int, str]]()
    first = head.start() if head else len(text)
    if text[:first].strip():
        yield Section(0, first)
        start = first
    while head:
        after = next(heads, None)
        end = after.start() if after else len(text)
        level, title = len(head[1]), _title(head[2])[:LONGEST_HEADING]
        path = [outer for outer in path if outer[0] < level]
        if text[head.end() : end].strip() or end == len(text):
            yield Section(start, end, title, tuple(name for _, name in path))
            start = end
        path.append((level, title))
        head = after


def _title(line: str) -> str:
    """The words of a heading, without the marks that may close it."""
    words = line.rstrip()
    return words.rstrip("#").rstrip() or words[:1]


def split(text: str, limit: int, count: Count, whole: Iterator[Span] | None = None) -> list[Span]:
    """Cover `text` but the white space between chunks, in order, with spans of at most `limit` tokens.

    No span is longer than `CHARACTERS_A_TOKEN` characters for each of these, whatever the tokenizer counts.

    A chunk ends at a sentence's end, and at a paragraph's where one comes in its last third; a sentence longer than
    the limit is cut at the end of a line, else between words, and a word longer than it (or a script without spaces)
    between characters.

    Args:
        whole: what is cut only where it is longer than the limit, in order, instead of the `sentences` of all the text.
    """
    if limit < 1:
        raise ValueError(f"a chunk needs room for a token, not {limit}")
    found = sentences(text) if whole is None else whole
    groups = iter(lambda: list(islice(found, SENTENCES_AT_ONCE)), [])
    pieces = (piece for group in groups for piece in _within(text, group, limit, count))
    return list(_pack(text, pieces, limit))


def sentences(text: str, start: int = 0, end: int | None = None) -> Iterator[Span]:
    """Sentences of `text[start:end]` in any script, without the white space around them; a line break ends one."""
    end = len(text) if end is None else end
    at = start
    for match in find_all(_SENTENCE_END, text, start, end):
        low = max(at, match.end() - _LONGEST_ABBREVIATION)
        if _ABBREVIATED.search(text, low, match.end()):
            continue
        if _ORDINAL.search(text, low, match.end()) and _COUNTED.match(text, match.end()):
            continue
        yield from _strip(text, at, match.end())
        at = match.end()
    yield from _strip(text, at, end)


def _strip(text: str, start: int, end: int) -> Iterator[Span]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end


def _within(text: str, spans: list[Span], limit: int, count: Count) -> Iterator[tuple[Span, int]]:
    """Spans with their token counts, those above the limit cut until they fit; none is counted that is too long."""
    short = [piece for span in spans for piece in _shorten(text, span, limit * CHARACTERS_A_TOKEN)]
    counts = count([text[start:end] for start, end in short])
    for span, tokens in zip(short, counts, strict=True):
        if tokens <= limit:
            yield span, tokens
        else:
            yield from _within(text, _halves(text, span), limit, count)


def _shorten(text: str, span: Span, most: int) -> Iterator[Span]:
    """Cut a span until no part is longer than so many characters."""
    if span[1] - span[0] <= most:
        yield span
    else:
        for half in _halves(text, span):
            yield from _shorten(text, half, most)


def _halves(text: str, span: Span) -> list[Span]:
    """Cut a span near its middle, between lines where there are any, else between words."""
    start, end = span
    assert end - start > 1, "one character holds more tokens than the limit"
    middle = (start + end) // 2
    cut = _nearest(_LINE_END, text, span, middle) or _nearest(_WORD, text, span, middle) or middle
    return [part for half in ((start, cut), (cut, end)) for part in _strip(text, *half)]


def _nearest(pattern: re.Pattern[str], text: str, span: Span, middle: int) -> int | None:
    """Where a match ends within a span, nearest to its middle; looked for close to it first, as a text may be long."""
    for radius in (LONGEST_WORD // 100, LONGEST_WORD // 10, LONGEST_WORD):
        low, high = max(span[0], middle - radius), min(span[1], middle + radius)
        ends = [match.end() for match in pattern.finditer(text, low, high) if match.end() < high]
        if ends:
            return min(ends, key=lambda end: abs(end - middle))
    return None


def _pack(text: str, pieces: Iterable[tuple[Span, int]], limit: int) -> Iterator[Span]:
    """Join neighbours while they fit; break early at a paragraph once two thirds are full."""
    start = end = -1
    filled = 0
    for (piece_start, piece_end), tokens in pieces:
        gap = max(1, piece_start - end) if start >= 0 else 0  # white space is a token a character at most
        fresh_paragraph = start >= 0 and _PARAGRAPH.search(text, end, piece_start) is not None
        too_long = filled + gap + tokens > limit or piece_end - start > limit * CHARACTERS_A_TOKEN
        if start >= 0 and (too_long or (fresh_paragraph and filled * 3 >= limit * 2)):
            yield start, end
            start, filled, gap = -1, 0, 0
        if start < 0:
            start = piece_start
        end = piece_end
        filled += gap + tokens
    if start >= 0:
        yield start, end
