"""Pages that are pictures: read with the extra, and told with what to install without it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fpdf import FPDF
from PIL import Image, ImageDraw, ImageFont

from memorag_core.config import ORIGINALS
from memorag_core.context.originals import find_original
from memorag_core.engine import MemoRAG
from memorag_core.errors import InputError
from memorag_core.ingest import FolderWalk, hear_pages, ocr, pdf, read_path
from memorag_core.ingest.page_view import find_words, show_page
from memorag_core.types import Progress

LIMIT = 100_000
LOG = ["The barge Lisbet sank on 3 May 1931.", "Her master was Ingrid Solheim.", "Nobody drowned in the harbour."]
NOTES = ["The dredger worked until noon.", "It moved 1250 tonnes of mud.", "The crew went home early."]
needs_ocr = pytest.mark.skipif(not ocr.is_here(), reason="the extra ocr is not installed")


def scan(lines: list[str], size: int = 40, turned: int = 0) -> Image.Image:
    """A page of A4 as a scanner sees it."""
    sheet = Image.new("L", (1240, 1754), 255)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        draw.text((120, 160 + number * size * 2), line, fill=0, font=ImageFont.load_default(size))
    return sheet.rotate(turned, expand=True)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a PDF of pictures that cover their pages, each with a stamp on it, and of texts."""

    def write_pages(*pages: Image.Image | str, stamp: str = "") -> Path:
        book = FPDF(unit="pt", format=(595, 842))
        book.set_font("Helvetica", size=10)
        for number, page in enumerate(pages, start=1):
            book.add_page()
            if isinstance(page, str):
                book.multi_cell(0, 14, page)
                continue
            written = io.BytesIO()
            page.save(written, "PNG")
            book.image(written, 0, 0, 595, 842)
            if stamp:
                book.text(460, 820, f"{stamp}{number:06d}")
        path = tmp_path / "scan.pdf"
        book.output(str(path))
        return path

    return write_pages


def test_without_the_extra_the_notice_names_the_pages_and_the_extra(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocr, "is_here", lambda: False)
    mixed = pdf.read(write("A page of text.", scan(LOG), scan(NOTES)).read_bytes(), "scan.pdf", LIMIT)
    assert "2 of 3 pages are pictures" in mixed.notice
    assert "(2, 3)" in mixed.notice
    assert 'pip install "memorag-mcp[ocr]"' in mixed.notice
    with pytest.raises(InputError, match=r"its 1 pages are pictures; .*install .*memorag-mcp\[ocr\]"):
        pdf.read(write(scan(LOG)).read_bytes(), "scan.pdf", LIMIT)


def test_words_of_a_picture_are_found_with_the_boxes_of_their_lines() -> None:
    seen = [("The", 0.1, 0.1, 0.1, 0.02), ("barge", 0.21, 0.101, 0.2, 0.02), ("sank.", 0.1, 0.15, 0.1, 0.02)]
    text = "The barge\nsank."
    assert find_words(seen, text, 4, 9) == ([[0.21, 0.101, 0.2, 0.02]], "barge")
    boxes, words = find_words(seen, text, 0, len(text))
    assert [[round(side, 3) for side in box] for box in boxes] == [[0.1, 0.1, 0.31, 0.021], [0.1, 0.15, 0.1, 0.02]]
    assert words == "The barge sank."
    assert find_words(seen, text, 4, 4) == ([], "")


@pytest.mark.slow
@needs_ocr
@pytest.mark.parametrize("stamp", ["", "BRAN-"])
def test_a_scanned_page_is_read_with_confidence_and_places_of_words(write: Callable[..., Path], stamp: str) -> None:
    steps: list[Progress] = []
    path = write(scan(LOG), "A page of text.", scan(NOTES, 28), stamp=stamp)
    with hear_pages(steps.append):
        [document] = read_path(FolderWalk(path), LIMIT).documents
    assert all(line in document.text for line in (*LOG, "A page of text.", *NOTES))
    assert "2 of 3 pages are pictures that were read by OCR (1, 3), the least sure page" in document.notice
    assert [(step.stage, step.done, step.total) for step in steps] == [("reading pages", 1, 3), ("reading pages", 3, 3)]
    assert document.original is not None
    assert set(json.loads(document.original.words)) == {"1", "3"}
    page, start = document.text[: document.pages[1]], document.text.index("Ingrid Solheim")
    shown = show_page(path.read_bytes(), 1, 600, (page, start, start + 14), document.original.words)
    [(left, top, width, height)] = shown["boxes"]
    assert shown["words"].startswith("Ingrid Solheim")
    assert 0.3 < left < left + width < 0.8
    assert 0.12 < top < top + height < 0.18


@pytest.mark.slow
@needs_ocr
def test_places_of_words_are_kept_with_the_context_also_when_it_changes(
    engine: MemoRAG, write: Callable[..., Path], tmp_path: Path
) -> None:
    [document] = read_path(FolderWalk(write(scan(LOG))), LIMIT).documents
    engine.memorize([document], name="barge")
    (tmp_path / "more.txt").write_text("The mill stood still.")
    engine.add("barge", read_path(FolderWalk(tmp_path / "more.txt"), LIMIT).documents)
    manifest, folder = engine.store.manifest("barge"), engine.store.folder("barge")
    entry = manifest.documents[0]
    assert entry.words == f"{ORIGINALS}/{document.id}.words.json"
    original = find_original(folder, manifest, entry)
    assert (original and original.words) == (document.original and document.original.words)


@pytest.mark.slow
@needs_ocr
def test_a_picture_without_words_stays_unread(write: Callable[..., Path]) -> None:
    extract = pdf.read(write("A page of text.", scan([])).read_bytes(), "scan.pdf", LIMIT)
    assert "1 of 2 pages are pictures" in extract.notice
    assert "no words were seen" in extract.notice
