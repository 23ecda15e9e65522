"""Presentations: each slide is a page, with its tables and the speaker's notes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

from memorag_core.ingest.archive import open_archive
from memorag_core.ingest.extract import Extract, extract_pages


def read(data: bytes, what: str, limit: int) -> Extract:
    """The text of a PPTX file."""
    from pptx import Presentation

    open_archive(data, what).close()
    text, pages = extract_pages(map(_text_of, Presentation(io.BytesIO(data)).slides), what, limit)
    return Extract(text, pages=pages)


def _text_of(slide: Any) -> str:
    texts = [text.replace("\v", "\n").strip() for text in _texts(slide.shapes)]
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = slide.notes_slide.notes_text_frame.text.strip()
        texts.append(f"Notes: {notes}" if notes else "")
    return "\n\n".join(filter(None, texts))


def _texts(shapes: Iterable[Any]) -> Iterator[str]:
    for shape in shapes:
        if shape.has_text_frame:
            yield shape.text_frame.text
        if shape.has_table:
            yield "\n".join(" | ".join(cell.text for cell in row.cells) for row in shape.table.rows)
        yield from _texts(getattr(shape, "shapes", ()))  # a group
