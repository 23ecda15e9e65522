"""Pages of a stored document as they look, and where on them words stand."""

from __future__ import annotations

from memorag_core.context.originals import read_original
from memorag_core.errors import InputError
from memorag_core.ingest.viewer import PageImage, PageViewer
from memorag_core.types import Document, Place


def measure_pages(document: Document, viewer: PageViewer) -> list[tuple[float, float]]:
    """Return width and height of each page, in points; nothing where they can only be read as text."""
    data = read_original(document.original)
    return viewer.measure(data, document.title) if data else []


def show_page(document: Document, viewer: PageViewer, page: int, width: int, place: Place) -> PageImage:
    """Return a page, from 1, as it looks, about `width` pixels wide, with the boxes of a place's words on it.

    Raises:
        InputError: there is no such page, or it can only be read as text.
    """
    data = read_original(document.original)
    if data is None or not 1 <= page <= len(document.pages):
        raise InputError(f"Page {page} of '{document.id}' cannot be shown as it looks; read its text.")
    begin, end = (*document.pages, len(document.text))[page - 1 : page + 1]
    first, last = (min(max(offset, begin), end) - begin for offset in (place.start, place.end))
    assert document.original is not None
    span = document.text[begin:end], first, last
    return viewer.show(data, document.title, page, width, span, document.original.words)
