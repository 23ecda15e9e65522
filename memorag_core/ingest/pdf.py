"""PDF files, by PDFium: each page's text, its lines joined to paragraphs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from memorag_core.errors import InputError
from memorag_core.ingest.extract import Extract, extract_pages
from memorag_core.ingest.pdf_fields import texts_of_annotations

MAX_PAGES = 20_000
WRONG_PASSWORD = 4
FULL_LINE = 0.8
STAMP = 120
"""Characters at most on a page that counts as scanned: a stamp, a number, a line that a scanner adds."""
COVERED = 0.6
COMPOUND = {"well", "self", "non", "half", "ex", "anti", "semi", "quasi", "vice", "all", "ill", "cross", "co"}
ADVICE = "run OCR over it first, for example: ocrmypdf FILE read.pdf"

_HYPHEN = re.compile("[\ufffe\x02\xad]\r?\n?")
_BROKEN = re.compile("(?<!\\w)(\\w++)[\ufffe\x02\xad]\r?\n?(\\w+)")
_COMPOUNDS = re.compile(r"(?<!\w)\w++(?:-\w++)++")
_CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]{2}")
_ITEM = re.compile(r"\s*(?:[-–•*▪◦]|\(?\d{1,3}[.)]|[a-z]\))\s")


def read(data: bytes, what: str, limit: int) -> Extract:
    """The text of a PDF file, and where each of its pages begins.

    Raises:
        InputError: encrypted, damaged, of too many pages, or scanned without text.
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        raise _cannot_open(what, error) from error
    if len(document) > MAX_PAGES:
        raise InputError(f"{what} has {len(document):,} pages; the limit is {MAX_PAGES:,}. Split it.")
    scanned: list[int] = []
    texts = _texts(document, scanned)
    try:
        text, pages = extract_pages(texts, what, limit)
    except InputError:
        if len(scanned) < len(document):
            raise
        raise InputError(f"{what} has no text: its {len(document):,} pages are pictures; {ADVICE}") from None
    return Extract(text, pages=pages, notice=_notice(scanned, len(document)))


def reflow(text: str) -> str:
    """Join the lines of a paragraph.

    A line that fills the page's width goes on in the next one, unless that begins a list item.
    """
    lines = [line.strip() for line in _mend(text).splitlines()]
    widths = [_width(line) for line in lines]
    longest = max(widths, default=0)
    out: list[str] = []
    goes_on = False
    for line, width in zip(lines, widths, strict=True):
        if goes_on and line and not _ITEM.match(line):
            between = "" if out[-1].endswith("-") or _CJK.match(out[-1][-1:] + line[:1]) else " "
            out.append(between + line)
        else:
            out.append(f"\n{line}")
        goes_on = width >= FULL_LINE * longest
    return "".join(out).strip()


def _mend(text: str) -> str:
    """Words that a line's end broke are whole again; a compound that keeps its hyphen elsewhere keeps it here."""

    words = (match.group().lower().split("-") for match in _COMPOUNDS.finditer(text))
    elsewhere = {"-".join(pair) for parts in words for pair in pairwise(parts)}

    def join(match: re.Match[str]) -> str:
        first, second = match.group(1), match.group(2)
        compound = first.lower() in COMPOUND or f"{first}-{second}".lower() in elsewhere
        return f"{first}-{second}" if compound else f"{first}{second}"

    return _HYPHEN.sub("", _BROKEN.sub(join, text))


def _width(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


def _texts(document: Any, scanned: list[int]) -> Iterator[str]:
    """The text of each page; numbers of those that have a picture instead are noted."""
    for number in range(len(document)):
        page = document[number]
        words = page.get_textpage()
        text = reflow(words.get_text_range() if page.get_rotation() else words.get_text_bounded())
        if _is_scanned(page, text):
            scanned.append(number + 1)
        beside = texts_of_annotations(page)
        page.close()
        yield "\n".join([text, *beside]) if beside else text


def _is_scanned(page: Any, text: str) -> bool:
    """True for a picture without text, or one that covers the page with next to none, as a stamp or a number."""
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

    if len(text) > STAMP:
        return False
    width, height = page.get_mediabox()[2:]
    for picture in page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE]):
        left, bottom, right, top = picture.get_bounds()
        if not text or (right - left) * (top - bottom) >= COVERED * width * height:
            return True
    return False


def _notice(scanned: list[int], pages: int) -> str:
    if not scanned:
        return ""
    first = ", ".join(map(str, scanned[:5])) + (" …" if len(scanned) > 5 else "")
    listed = f"{len(scanned):,} of {pages:,} pages are pictures without text or with no more than a stamp ({first})"
    return f"{listed}; to have them read, {ADVICE}"


def _cannot_open(what: str, error: Any) -> InputError:
    if error.err_code == WRONG_PASSWORD:
        return InputError(
            f"{what} is encrypted. Save it without its password, for example: qpdf --decrypt --password=… FILE open.pdf"
        )
    return InputError(f"{what} is damaged or no PDF ({error}). Open it and save it anew.")
