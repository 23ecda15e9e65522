"""PDF files, by PDFium: each page's text, its lines joined to paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from memorag_core.errors import InputError
from memorag_core.ingest.extract import Extract, extract_pages

MAX_PAGES = 20_000
WRONG_PASSWORD = 4
FULL_LINE = 0.8
ADVICE = "run OCR over it first, for example: ocrmypdf FILE read.pdf"

_HYPHEN = re.compile("[\ufffe\x02\xad]\r?\n?")
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
    """The text of a page with the lines of a paragraph joined.

    A line that fills the page's width goes on in the next one, unless that begins a list item.
    """
    lines = [line.strip() for line in _HYPHEN.sub("", text).splitlines()]
    longest = max(map(len, lines), default=0)
    out: list[str] = []
    goes_on = False
    for line in lines:
        if goes_on and line and not _ITEM.match(line):
            out.append(line if out[-1].endswith("-") else f" {line}")
        else:
            out.append(f"\n{line}")
        goes_on = len(line) >= FULL_LINE * longest
    return "".join(out).strip()


def _texts(document: Any, scanned: list[int]) -> Iterator[str]:
    """The text of each page; numbers of those that have a picture instead are noted."""
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

    for number in range(len(document)):
        page = document[number]
        text = reflow(page.get_textpage().get_text_bounded())
        if not text and next(page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE]), None) is not None:
            scanned.append(number + 1)
        page.close()
        yield text


def _notice(scanned: list[int], pages: int) -> str:
    if not scanned:
        return ""
    first = ", ".join(map(str, scanned[:5])) + (" …" if len(scanned) > 5 else "")
    return f"{len(scanned):,} of {pages:,} pages are pictures without text ({first}); to have them read, {ADVICE}"


def _cannot_open(what: str, error: Any) -> InputError:
    if error.err_code == WRONG_PASSWORD:
        return InputError(
            f"{what} is encrypted. Save it without its password, for example: qpdf --decrypt --password=… FILE open.pdf"
        )
    return InputError(f"{what} is damaged or no PDF ({error}). Open it and save it anew.")
