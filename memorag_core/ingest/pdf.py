"""PDF files, by PDFium: each page's text, its lines joined to paragraphs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice, pairwise
from typing import Any

from memorag_core.errors import InputError, quote_name
from memorag_core.ingest import ocr
from memorag_core.ingest.extract import STEPS, Extract, PartReader, extract_pages
from memorag_core.ingest.pdf_fields import texts_of_annotations
from memorag_core.ingest.pdf_grid import Rulings, rulings_of
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
NAMED = 5
COMPOUND = {"well", "self", "non", "half", "ex", "anti", "semi", "quasi", "vice", "all", "ill", "cross", "co"}
ADVICE = 'to have them read, install what reads pictures, pip install "memorag-mcp[ocr]", and memorize it again'

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
    return join([read_part(data, what, limit)], what, limit)


def read_part(data: bytes, what: str, limit: int, part: int = 0, parts: int = 1) -> PagesRead:
    """One of so many equal parts of a file's pages. Raises what `read` raises."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        raise _cannot_open(what, error) from error
    pages = len(document)
    if pages > MAX_PAGES:
        raise InputError(f"{what} has {pages:,} pages; the limit is {MAX_PAGES:,}. Split it.")
    document.init_forms()
    scans = Scans()
    numbers = range(pages * part // parts, pages * (part + 1) // parts)
    texts = list(_texts(document, numbers, scans, max(1, ocr.most_threads() // parts), limit))
    return PagesRead(texts, scans, pages, document.count_attachments())


def join(read: Sequence[PagesRead], what: str, limit: int) -> Extract:
    """Make one text of all parts, in their order. Raises `InputError` where there is none, or too much."""
    scans = Scans(
        [number for part in read for number in part.scans.unread],
        {number: words for part in read for number, words in part.scans.words.items()},
        {number: sure for part in read for number, sure in part.scans.confidence.items()},
    )
    pages, attached = read[0].pages, read[0].attached
    texts, repeated = keep_once([text for part in read for text in part.texts])
    try:
        text, starts = extract_pages(texts, what, limit)
    except InputError:
        if len(scans.unread) < pages:
            raise
        raise InputError(f"{what} has no text: its {pages:,} pages are pictures; {scans.advice}.") from None
    notice = _notice(scans, pages, repeated, attached)
    return Extract(text, pages=starts, notice=notice, words=json.dumps(scans.words) if scans.words else "")


@dataclass(slots=True)
class Scans:
    """Pages that are pictures, by their numbers: those not read, and the words and confidence of the others."""

    unread: list[int] = field(default_factory=list)
    words: dict[str, list[tuple[str, float, float, float, float]]] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)

    def read(self, page: Any, number: int, stamp: str, threads: int) -> str:
        """Read a picture, and note what became of it; where nothing but its stamp was seen, that is returned."""
        reading = ocr.read_page(page, threads) if ocr.is_here() else None
        if reading is None or sum(len(line.text) for line in reading.lines) <= len(stamp):
            self.unread.append(number)
            return stamp
        self.words[str(number)], self.confidence[str(number)] = reading.words, reading.confidence
        return _text_of(lay_out(reading.lines, Rulings([], [])))

    @property
    def advice(self) -> str:
        """What to do about pages that were not read."""
        return "no words were seen on them" if ocr.is_here() else ADVICE


@dataclass(frozen=True, slots=True)
class PagesRead:
    """What some pages of a file say, in their order; of the whole file, how many pages and attached files it has."""

    texts: list[str]
    scans: Scans
    pages: int
    attached: int


def _read_one(data: bytes, what: str, limit: int, part: int, parts: int) -> dict[str, Any]:
    return asdict(read_part(data, what, limit, part, parts))


def _join_all(read: Sequence[dict[str, Any]], what: str, limit: int) -> Extract:
    return join([PagesRead(**one | {"scans": Scans(**one["scans"])}) for one in read], what, limit)


IN_PARTS = PartReader(_read_one, _join_all)


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

    if not _HYPHEN.search(text):
        return text
    words = (match.group().lower().split("-") for match in _COMPOUNDS.finditer(text))
    elsewhere = {"-".join(pair) for parts in words for pair in pairwise(parts)}

    def join(match: re.Match[str]) -> str:
        first, second = match.group(1), match.group(2)
        compound = first.lower() in COMPOUND or f"{first}-{second}".lower() in elsewhere
        return f"{first}-{second}" if compound else f"{first}{second}"

    return _HYPHEN.sub("", _BROKEN.sub(join, text))


def _texts(document: Any, numbers: range, scans: Scans, threads: int, limit: int) -> Iterator[str]:
    """The text of each page, until `limit` is passed; numbers of those that have a picture instead are noted."""
    size = 0
    for number in numbers:
        page = document[number]
        text = _text_of(lay_out(words_of(page, page.get_textpage()), rulings_of(page)))
        if _is_scanned(page, text):
            text = scans.read(page, number + 1, text, threads)
            STEPS.get()(number - numbers.start + 1, len(document))
        beside = texts_of_annotations(page)
        page.close()
        size += len(text)
        yield "\n".join([text, *beside]) if beside else text
        if size > limit:
            return


def _text_of(parts: list[Prose | Cells]) -> str:
    return mend_words("\n".join(_paragraphs(part.runs) if isinstance(part, Prose) else _table(part) for part in parts))


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


def _notice(scans: Scans, pages: int, repeated: int, attached: int) -> str:
    told = [f"Read once: heads and feet of pages, which repeat on most ({repeated:,} lines)."] if repeated else []
    if attached:
        told.append(f"Left out: attached files ({attached:,}).")
    if scans.words:
        worst = min(scans.confidence, key=lambda number: scans.confidence[number])
        told.append(
            f"{len(scans.words):,} of {pages:,} pages are pictures that were read by OCR ({_first(scans.words)}), the "
            f"least sure page {worst} with {scans.confidence[worst]:.0%}: look at the page before you trust a figure."
        )
    if scans.unread:
        told.append(
            f"{len(scans.unread):,} of {pages:,} pages are pictures without text or with no more than a stamp "
            f"({_first(scans.unread)}); {scans.advice}."
        )
    return " ".join(told)


def _first(numbers: Collection[object]) -> str:
    return ", ".join(map(str, islice(numbers, NAMED))) + (" …" if len(numbers) > NAMED else "")


def _cannot_open(what: str, error: Any) -> InputError:
    if error.err_code == WRONG_PASSWORD:
        return InputError(
            f"{what} is encrypted. Save it without its password, for example: qpdf --decrypt --password=… FILE open.pdf"
        )
    return InputError(f"{what} is damaged or no PDF ({quote_name(error)}). Open it and save it anew.")
