"""A PDF is kept with its context, whole or not at all, and its pages show where words stand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from documents import write_pdf

from memorag_core import MemoRAG
from memorag_core.config import MANIFEST, ORIGINALS
from memorag_core.context.looks import measure_pages, show_page
from memorag_core.context.manifest import digest
from memorag_core.errors import DamagedContext, InputError
from memorag_core.ingest import from_path, from_text
from memorag_core.ingest.page_view import letters_of
from memorag_core.ingest.viewer import PageViewer
from memorag_core.types import Document, Place

PAGES = ["The mill stands at the head of the pond. Its gates were hung in May 1963.", "The horn was sounded every day."]


@pytest.fixture
def stored(engine: MemoRAG, tmp_path: Path) -> Document:
    """A PDF of two pages, memorized; the file it came from is gone."""
    file = write_pdf(tmp_path / "mill.pdf", PAGES)
    engine.memorize(from_path(file, 10**6), "mill")
    file.unlink()
    return engine.document("mill", "mill")


def words_lit(viewer: PageViewer, document: Document, quote: str) -> str:
    start = document.text.index(quote)
    page = sum(begin <= start for begin in document.pages)
    place = Place(document.id, start, start + len(quote))
    shown = show_page(document, viewer, page, 400, place)
    assert shown.image[8:12] == b"WEBP"
    assert all(0 <= side <= 1 for box in shown.boxes for side in box)
    return shown.words


@pytest.mark.parametrize("quote", ["Its gates were hung in May 1963.", "The horn was sounded every day."])
def test_the_words_in_the_boxes_are_those_of_the_place(quote: str, stored: Document) -> None:
    viewer = PageViewer()
    assert words_lit(viewer, stored, quote).split() == quote.split()
    assert len(measure_pages(stored, viewer)) == 2
    viewer.close()


def test_an_original_stays_while_documents_are_added_and_goes_with_its_document(
    engine: MemoRAG, stored: Document
) -> None:
    engine.add("mill", [from_text("The inspector came on Monday.", "Note")])
    kept = engine.document("mill", "mill").original
    assert kept is not None
    assert kept.sha256 == (stored.original and stored.original.sha256)
    engine.remove("mill", "mill")
    assert not (engine.store.root / "mill" / ORIGINALS).exists()
    with pytest.raises(InputError, match="read its text"):
        show_page(engine.document("mill", "note"), PageViewer(), 1, 400, Place("note", 0, 3))


def test_a_file_that_changed_since_it_was_read_is_not_kept(engine: MemoRAG, tmp_path: Path) -> None:
    file = write_pdf(tmp_path / "mill.pdf", PAGES)
    documents = from_path(file, 10**6)
    write_pdf(file, ["Something else."])
    engine.memorize(documents, "mill")
    assert engine.document("mill", "mill").original is None


def test_a_context_of_before_is_read_and_a_changed_original_is_damage(engine: MemoRAG, stored: Document) -> None:
    folder = engine.store.root / "mill"
    (kept,) = (folder / ORIGINALS).iterdir()
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedContext):
        engine.context("mill")
    kept.unlink()
    kept.parent.rmdir()
    record = json.loads((folder / MANIFEST).read_text())
    del record["documents"][0]["original"], record["files"][f"{ORIGINALS}/mill.pdf"]
    record["seal"] = digest(record)
    (folder / MANIFEST).write_text(json.dumps(record))
    assert engine.document("mill", "mill").text == stored.text
    assert engine.context("mill").documents[0].original is None


def test_letters_are_the_same_whatever_form_a_page_gives_them() -> None:
    assert letters_of("\ufb01ne  ﬂow-er １").text == letters_of("fine flower 1").text
