"""Shows a page as it looks, with the places of words on it: by PDFium, in the process of `sandbox.py`.

A document's text is not the page's to the letter: lines were joined, hyphens mended. What is the same in both are the
letters and figures, in their order, so words are found by these, and nearest to where they are expected.
"""

from __future__ import annotations

import base64
import io
import json
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from memorag_core.text.normal import normalize

MOST_PIXELS = 2400
LEAST_SPLIT = 12
"""Letters of a piece that is looked for by itself where the whole is not found, as in columns read in another order."""


FoundBoxes = tuple[list[list[float]], str]


@dataclass(frozen=True, slots=True)
class Letters:
    """Letters and figures alone, and the place of each in the text that they were taken from."""

    text: str
    places: tuple[int, ...]


def show_page(data: bytes, page: int, width: int, span: tuple[str, int, int], words: str = "") -> dict[str, Any]:
    """Draw a page, from 1, `width` pixels wide; find where on it `text[start:end]` is, `text` being the page's.

    `words` are those of pages that are pictures, as in `Extract`.

    Returns the image (WebP, base64), its size, boxes as shares of its width and height, and the words in them.
    """
    import pypdfium2

    document = pypdfium2.PdfDocument(data)
    sheet = document[page - 1]
    scale = width / sheet.get_width()
    scale = min(scale, MOST_PIXELS / max(sheet.get_width() * scale, sheet.get_height() * scale) * scale)
    image = sheet.render(scale=scale).to_pil().convert("RGB")
    written = io.BytesIO()
    image.save(written, "WEBP", quality=80, method=2)
    seen = json.loads(words).get(str(page)) if words else None
    boxes, found = find_words(seen, *span) if seen else find_boxes(sheet, *span)
    image_text = base64.b64encode(written.getvalue()).decode()
    return {"image": image_text, "width": image.width, "height": image.height, "boxes": boxes, "words": found}


def measure_pages(data: bytes) -> dict[str, Any]:
    """Return width and height of each page, in points."""
    import pypdfium2

    document = pypdfium2.PdfDocument(data)
    return {"sizes": [[round(side, 1) for side in document.get_page_size(index)] for index in range(len(document))]}


def find_boxes(sheet: Any, text: str, start: int, end: int) -> FoundBoxes:
    """Find the boxes of `text[start:end]` on a page: left, top, width, height, as shares; and what stands in them."""
    characters = sheet.get_textpage()
    page_text = _text_of(characters)
    raw = letters_of(page_text)
    wanted, before = letters_of(text[start:end]).text, len(letters_of(text[:start]).text)
    places = [raw.places[at] for at in _find(wanted, raw.text, before)]
    boxes: list[list[float]] = []
    words: list[str] = []
    for first, last in join_runs(places + _marks_around(text[start:end], page_text, places)):
        count = last - first + 1
        for number in range(characters.count_rects(first, count)):
            left, bottom, right, top = characters.get_rect(number)
            boxes.append(_on_image(sheet, left, bottom, right, top))
        words.append(characters.get_text_range(first, count))
    return boxes, " ".join(words)


def find_words(seen: list[tuple[str, float, float, float, float]], text: str, start: int, end: int) -> FoundBoxes:
    """Find the boxes of `text[start:end]` among words of a picture, those of a line joined; and these words."""
    page, ends = "", []
    for word, *_ in seen:
        page += f"{word} "
        ends.append(len(page))
    raw = letters_of(page)
    wanted, before = letters_of(text[start:end]).text, len(letters_of(text[:start]).text)
    numbers = sorted({bisect_right(ends, raw.places[at]) for at in _find(wanted, raw.text, before)})
    boxes: list[list[float]] = []
    for number in numbers:
        left, top, width, height = seen[number][1:]
        last = boxes[-1] if boxes else None
        if last and abs(last[1] - top) < height / 2 and last[0] <= left:
            bottom = max(last[1] + last[3], top + height)
            last[1] = min(last[1], top)
            last[2:] = [left + width - last[0], bottom - last[1]]
        else:
            boxes.append([left, top, width, height])
    return boxes, " ".join(seen[number][0] for number in numbers)


def letters_of(text: str) -> Letters:
    """Letters and figures of a text, in one form: ligatures as their letters, wide forms as narrow ones."""
    found: list[tuple[str, int]] = [
        (letter, place) for place, char in enumerate(text) for letter in normalize("NFKC", char) if letter.isalnum()
    ]
    return Letters("".join(letter for letter, _ in found), tuple(place for _, place in found))


def _marks_around(wanted: str, page: str, places: list[int]) -> list[int]:
    """Where the marks are that a span begins and ends with, such as quotes and a full stop."""
    if not places:
        return []
    bare = wanted.strip()
    inner = [place for place, char in enumerate(bare) if char.isalnum()]
    opening, closing = bare[: inner[0]], bare[inner[-1] + 1 :]
    first, last = min(places), max(places)
    begins = page[max(0, first - len(opening)) : first] == opening
    ends = page[last + 1 : last + 1 + len(closing)] == closing
    return [
        *(range(first - len(opening), first) if begins else ()),
        *(range(last + 1, last + 1 + len(closing)) if ends else ()),
    ]


def join_runs(places: list[int]) -> Iterator[tuple[int, int]]:
    """Places as first and last of each run; what is no letter between two letters of a run belongs to it."""
    places = sorted(set(places))
    gaps = [0]
    for one, other in pairwise(places):
        gaps.append(gaps[-1] + (other - one > LEAST_SPLIT))
    for _, run in groupby(zip(places, gaps, strict=False), key=lambda pair: pair[1]):
        members = [place for place, _ in run]
        yield members[0], members[-1]


def _find(wanted: str, page: str, expected: int) -> list[int]:
    """Where the letters of `wanted` are on the page; of several places, that nearest to the expected one.

    What is not found whole is looked for in halves.
    """
    if not wanted:
        return []
    starts = list(_occurrences(wanted, page))
    if starts:
        start = min(starts, key=lambda at: abs(at - expected))
        return list(range(start, start + len(wanted)))
    if len(wanted) < 2 * LEAST_SPLIT:
        return []
    half = len(wanted) // 2
    return _find(wanted[:half], page, expected) + _find(wanted[half:], page, expected + half)


def _occurrences(wanted: str, page: str) -> Iterator[int]:
    at = page.find(wanted)
    while at >= 0:
        yield at
        at = page.find(wanted, at + 1)


def _text_of(characters: Any) -> str:
    """One character for each that PDFium counts, so that places are its places."""
    from pypdfium2.raw import FPDFText_GetUnicode

    return "".join(chr(FPDFText_GetUnicode(characters, index)) for index in range(characters.count_chars()))


def _on_image(sheet: Any, left: float, bottom: float, right: float, top: float) -> list[float]:
    """A box of the page's own units on its image, whichever way the page is turned or cut."""
    from ctypes import c_int

    from pypdfium2.raw import FPDF_PageToDevice

    fine = 100_000
    corners = []
    for x, y in ((left, top), (right, bottom)):
        across, down = c_int(), c_int()
        FPDF_PageToDevice(sheet, 0, 0, fine, fine, 0, x, y, across, down)
        corners.append((across.value / fine, down.value / fine))
    (x0, y0), (x1, y1) = corners
    return [min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0)]
