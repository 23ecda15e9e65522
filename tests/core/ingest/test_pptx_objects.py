"""What slides show that is no text of theirs is told."""

from __future__ import annotations

import io

import pytest
from pptx import Presentation
from pptx.util import Emu

from memorag_core.ingest.pptx import read


@pytest.mark.parametrize(
    ("objects", "films", "told"),
    [
        (1, 0, "embedded objects (1)"),
        (2, 1, "embedded objects (2), sounds and films (1)"),
        (0, 1, "sounds and films (1)"),
    ],
)
def test_what_other_programs_made_and_films_are_told(objects: int, films: int, told: str) -> None:
    show = Presentation()
    slide = show.slides.add_slide(show.slide_layouts[5])
    slide.shapes[0].text_frame.text = "Depths"
    for _ in range(objects):
        slide.shapes.add_ole_object(io.BytesIO(b"held"), "Some.Program", Emu(0), Emu(0))
    for _ in range(films):
        slide.shapes.add_movie(io.BytesIO(b"film"), Emu(0), Emu(0), Emu(9), Emu(9))
    out = io.BytesIO()
    show.save(out)
    extract = read(out.getvalue(), "a.pptx", 10_000)
    assert (extract.text, extract.notice) == ("Depths", f"Left out: {told}.")
