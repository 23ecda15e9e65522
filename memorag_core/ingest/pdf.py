"""PDF files, by PDFium: each page's text, its lines joined to paragraphs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from memorag_core.errors import InputError, quote_name
from memorag_core.ingest.extract import Extract, extract_pages
from memorag_core.ingest.pdf_fields import texts_of_annotations
from memorag_core.ingest.pdf_grid import rulings_of
from memorag_core.ingest.pdf_layout import Cells, Prose, Run, lay_out
from memorag_core.ingest.pdf_margins import keep_once
from memorag_core.ingest.pdf_words import BREAK, words_of

MAX_PAGES = 20_000
WRONG_PASSWORD = 4
FULL_LINE = 0.8
NARROW = 8.0
"""Heights: lines in so little room are a list rather than a paragraph."""
SAME_SIZE = 0.15
NEXT_LINE = 2.0
STAMP = 120
"""Characters at most on a page that counts as scanned: a stamp, a number, a line that a scanner adds."""
COVERED = 0.6
COMPOUND = {"well", "self", "non", "half", "ex", "anti", "semi", "quasi", "vice", "all", "ill", "cross", "co"}
ADVICE = "run OCR over it first, for example: ocrmypdf FILE read.pdf"

_HYPHEN = re.compile("[\ufffe\x02\xad]\r?\n?")
_BROKEN = re.compile("(?<!\\w)(\\w++)[\ufffe\x02\xad]\r?\n?(\\w+)")
_COMPOUNDS = re.compile(r"(?<!\w)\w++(?:-\w++)++")
_CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]{2}")
_LEADER = re.compile(r"(?:\.\s?){5}")
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
    texts, repeated = keep_once(list(_texts(document, scanned, limit)))
    try:
        text, pages = extract_pages(texts, what, limit)
    except InputError:
        if len(scanned) < len(document):
            raise
        raise InputError(f"{what} has no text: its {len(document):,} pages are pictures; {ADVICE}") from None
    return Extract(text, pages=pages, notice=_notice(scanned, len(document), repeated, document.count_attachments()))


def _paragraphs(lines: list[Run]) -> str:
    """Join the lines of each paragraph: one in which the first word of the next had no room goes on in it."""
    out: list[str] = []
    for group in _groups(lines):
        left, right = min(line.box.left for line in group), max(line.box.right for line in group)
        narrow = right - left < NARROW * group[0].box.height
        full = math.inf if narrow else left + FULL_LINE * (right - left)
        ends = -math.inf
        for line in group:
            if ends + (0 if narrow else _first_word(line)) > right and not _ITEM.match(line.text):
                between = "" if out[-1][-1] in f"-{BREAK}" or _CJK.match(out[-1][-1] + line.text[0]) else " "
                out.append(between + line.text)
            else:
                out.append(f"\n{line.text}")
            if _LEADER.search(line.text):
                ends = -math.inf
                continue
            ends = math.inf if line.text[-1] in BREAK or line.box.right >= full else line.box.right
    return "".join(out).strip()


def _first_word(line: Run) -> float:
    """How wide the first word of a line is, with the blank before it; of a line without blanks, a character."""
    first = line.text.find(" ") + 1 or 1
    return first * (line.box.right - line.box.left) / len(line.text)


def _groups(lines: list[Run]) -> Iterator[list[Run]]:
    """Lines of one size and at one distance."""
    group: list[Run] = []
    for line in lines:
        if group:
            above, height = group[-1].box, group[-1].box.height
            same = abs(height - line.box.height) < SAME_SIZE * height
            if not same or above.middle - line.box.middle > NEXT_LINE * height:
                yield group
                group = []
        group.append(line)
    if group:
        yield group


def mend_words(text: str) -> str:
    """Write words whole that the end of a line broke; a compound that keeps its hyphen elsewhere keeps it here."""

    words = (match.group().lower().split("-") for match in _COMPOUNDS.finditer(text))
    elsewhere = {"-".join(pair) for parts in words for pair in pairwise(parts)}

    def join(match: re.Match[str]) -> str:
        first, second = match.group(1), match.group(2)
        compound = first.lower() in COMPOUND or f"{first}-{second}".lower() in elsewhere
        return f"{first}-{second}" if compound else f"{first}{second}"

    return _HYPHEN.sub("", _BROKEN.sub(join, text))


def _texts(document: Any, scanned: list[int], limit: int) -> Iterator[str]:
    """The text of each page, until `limit` is passed; numbers of those that have a picture instead are noted."""
    size = 0
    for number in range(len(document)):
        page = document[number]
        parts = lay_out(words_of(page, page.get_textpage()), rulings_of(page))
        texts = [_paragraphs(part.runs) if isinstance(part, Prose) else _table(part) for part in parts]
        text = mend_words("\n".join(texts))
        if _is_scanned(page, text):
            scanned.append(number + 1)
        beside = texts_of_annotations(page)
        page.close()
        size += len(text)
        yield "\n".join([text, *beside]) if beside else text
        if size > limit:
            return


def _table(table: Cells) -> str:
    return "\n".join(["", *(" | ".join(row).rstrip() for row in table.rows), ""])


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


def _notice(scanned: list[int], pages: int, repeated: int, attached: int) -> str:
    told = [f"Read once: heads and feet of pages, which repeat on most ({repeated:,} lines)."] if repeated else []
    if attached:
        told.append(f"Left out: attached files ({attached:,}).")
    if scanned:
        first = ", ".join(map(str, scanned[:5])) + (" …" if len(scanned) > 5 else "")
        told.append(
            f"{len(scanned):,} of {pages:,} pages are pictures without text or with no more than a stamp ({first}); "
            f"to have them read, {ADVICE}"
        )
    return " ".join(told)


def _cannot_open(what: str, error: Any) -> InputError:
    if error.err_code == WRONG_PASSWORD:
        return InputError(
            f"{what} is encrypted. Save it without its password, for example: qpdf --decrypt --password=… FILE open.pdf"
        )
    return InputError(f"{what} is damaged or no PDF ({quote_name(error)}). Open it and save it anew.")
