"""The words of a PDF page and where they stand, as a reader turns the page; marks raised or lowered are written so."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from memorag_core.ingest.marks import subscript, superscript

SMALL = 0.85
RAISED = 0.1
BESIDE = 0.35
BREAK = "\ufffe\x02\xad"
"""What PDFium writes for a hyphen at the end of a line."""

WIDE = 1.25
WITHIN = 40

_LINE = re.compile(rf"(?<![^\S\r\n])[^\S\r\n]*+[^\s{BREAK}][^\r\n{BREAK}]*+[{BREAK}]?|[{BREAK}]")
_INNER = re.compile(r"[^\W\d]\d+[^\W\d]")
_WORD = re.compile(rf"[^\s{BREAK}]+[{BREAK}]?|[{BREAK}]")


@dataclass(slots=True)
class Box:
    """Where something stands: from left to right, and from bottom to top."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def height(self) -> float:
        """How high it is; for text, by its font and not by its letters."""
        return self.top - self.bottom

    @property
    def middle(self) -> float:
        """Half way up."""
        return (self.bottom + self.top) / 2

    def around(self, other: Box) -> Box:
        """Return the box of both."""
        return Box(  # compared by hand, since this is done for every word of a document
            self.left if self.left < other.left else other.left,
            self.bottom if self.bottom < other.bottom else other.bottom,
            self.right if self.right > other.right else other.right,
            self.top if self.top > other.top else other.top,
        )

    def turned(self, degrees: int) -> Box:
        """Return where it stands on a page turned clockwise."""
        if degrees == 90:
            return Box(self.bottom, -self.right, self.top, -self.left)
        if degrees == 180:
            return Box(-self.right, -self.top, -self.left, -self.bottom)
        return Box(-self.top, self.left, -self.bottom, self.right) if degrees == 270 else self


@dataclass(slots=True)
class Word:
    """A word of a page."""

    text: str
    box: Box


def words_of(page: Any, text_page: Any) -> list[Word]:
    """Read the words of a page in PDFium's order; a line that was drawn in one piece comes as one."""
    text = text_page.get_text_range()
    letters = _Letters(text_page, page.get_rotation(), len(text))
    lines = [_line(letters, text, match) for match in _LINE.finditer(text)]
    usual = median(line.breadth for line in lines) if lines else 0
    words: list[Word] = []
    for line in lines:
        if line.is_whole and line.breadth < WIDE * usual:
            words.append(Word(text[line.start : line.end], line.box))
            continue
        for match in _WORD.finditer(text, line.start, line.end):
            for word in _marked(letters, match):
                _add(words, word)
    return words


def _add(words: list[Word], word: Word) -> None:
    if words and _is_mark(words[-1].box, word.box):
        before = words[-1]
        raised = word.box.middle > before.box.middle
        before.text += superscript(before.text, word.text) if raised else subscript(word.text)
        before.box.right = max(before.box.right, word.box.right)
    else:
        words.append(word)


@dataclass(slots=True)
class _Line:
    """A line as PDFium tells it: where it stands in the page's text and on the page."""

    start: int
    end: int
    box: Box
    is_whole: bool

    @property
    def breadth(self) -> float:
        """How many heights wide its letters are."""
        return (self.box.right - self.box.left) / (self.end - self.start) / (self.box.height or 1)


def _line(letters: _Letters, text: str, match: re.Match[str]) -> _Line:
    words = match.group().lstrip()
    start = match.end() - len(words)
    words = words.rstrip()
    end = start + len(words)
    first, last = letters.box(start), letters.box(end - 1 - (len(words) > 1 and words[-1] in BREAK))
    return _Line(start, end, first.around(last), not _differ(first, last) and letters.is_one_piece(first, last))


class _Letters:
    """The boxes of a page's characters, by their place in its text, and of the pieces in which it was drawn."""

    def __init__(self, text_page: Any, turned: int, size: int) -> None:
        from pypdfium2.raw import FS_RECTF, FPDFText_GetCharIndexFromTextIndex, FPDFText_GetLooseCharBox

        self._page, self._turned, self._rectangle = text_page.raw, turned, FS_RECTF()
        self._index, self._box = FPDFText_GetCharIndexFromTextIndex, FPDFText_GetLooseCharBox
        self._as_told = text_page.count_chars() == size  # else characters without text are counted too
        self._pieces = [box.turned(turned) if turned else box for box in _pieces(self._page)]
        self._piece = 0

    def box(self, at: int) -> Box:
        """Ask where a character stands."""
        found = self._rectangle
        self._box(self._page, at if self._as_told else max(0, self._index(self._page, at)), found)
        box = Box(found.left, found.bottom, found.right, found.top)
        return box.turned(self._turned) if self._turned else box

    def is_one_piece(self, first: Box, last: Box) -> bool:
        """Whether a line from one character to another was drawn at once; to be asked line by line."""
        near = BESIDE * (first.top - first.bottom)
        for number, piece in enumerate(self._pieces[self._piece : self._piece + WITHIN], self._piece):
            if -near < piece.left - first.left < near and first.bottom <= piece.middle <= first.top:
                self._piece = number + 1
                return abs(piece.right - last.right) < near
        return False


def _pieces(text_page: Any) -> Iterator[Box]:
    from pypdfium2.raw import FPDFText_CountRects, FPDFText_GetRect

    left, top, right, bottom = (ctypes.c_double() for _ in range(4))
    sides = [ctypes.byref(side) for side in (left, top, right, bottom)]
    for number in range(FPDFText_CountRects(text_page, 0, -1)):
        FPDFText_GetRect(text_page, number, *sides)
        yield Box(left.value, bottom.value, right.value, top.value)


def _marked(letters: _Letters, match: re.Match[str]) -> Iterator[Word]:
    """Yield a word, or its parts where letters are of another size than those before them."""
    text, start, end = match.group(), match.start(), match.end() - 1
    ends_line = len(text) > 1 and text[-1] in BREAK
    first, last = letters.box(start), letters.box(end - ends_line)
    if not _differ(first, last) and not _INNER.search(text):
        yield Word(text, first.around(last))
        return
    begin, box = 0, first
    for at in range(1, len(text) - ends_line):
        here = letters.box(start + at)
        if _differ(box, here):
            yield Word(text[begin:at], box)
            begin, box = at, here
        else:
            box = Box(min(box.left, here.left), box.bottom, max(box.right, here.right), box.top)
    yield Word(text[begin:], box)


def _differ(one: Box, other: Box) -> bool:
    high, wide = one.top - one.bottom, other.top - other.bottom
    if high == wide:
        return False
    taller, smaller = (high, wide) if high > wide else (wide, high)
    return smaller < SMALL * taller and abs(one.middle - other.middle) > RAISED * taller


def _is_mark(before: Box, box: Box) -> bool:
    """True for what is smaller, close behind a word, and raised or lowered."""
    high = before.top - before.bottom
    if box.top - box.bottom >= high or not -BESIDE * high < box.left - before.right < BESIDE * high:
        return False
    within = before.bottom - before.height / 2 < box.middle < before.top + before.height / 2
    return within and _differ(before, box)
