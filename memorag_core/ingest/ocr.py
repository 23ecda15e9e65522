"""Reads pages that are pictures, by RapidOCR on ONNX Runtime (the extra `ocr`): lines, and where each word stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from statistics import median
from typing import Any

from memorag_core.concurrency.processes import count_cores
from memorag_core.ingest.pdf_words import Box, Word

DOTS_AN_INCH = 150
MOST_PIXELS = 2400
COARSE, FINE = 960, 2000
"""Pixels of the longer side of the picture in which lines are looked for: letters of books are found in the coarse one,
small print in the fine one alone."""
SURE = 0.9
ALIKE = 0.25
THREADS = 4


@dataclass(frozen=True, slots=True)
class PageReading:
    """What stands on a picture: lines in units of the page, and words with left, top, width and height as its shares.

    `confidence` is the mean of all lines, 0 to 1.
    """

    lines: list[Word]
    words: list[tuple[str, float, float, float, float]]
    confidence: float


def is_here() -> bool:
    """Whether the extra is installed."""
    return all(find_spec(name) is not None for name in ("rapidocr", "onnxruntime"))


def most_threads() -> int:
    """How many threads reading gains from here."""
    return min(THREADS, count_cores())


def read_page(page: Any, threads: int) -> PageReading | None:
    """Read a page of PDFium's as it looks; None where no words are seen."""
    width, height = page.get_width(), page.get_height()
    scale = min(DOTS_AN_INCH / 72, MOST_PIXELS / max(width, height))
    picture = page.render(scale=scale, rev_byteorder=False).to_numpy()[:, :, :3]
    found = _recognize(picture, COARSE, threads)
    if found is None or _confidence(found) < SURE:
        again = _recognize(picture, FINE, threads)
        found = again if found is None or (again and _confidence(again) > _confidence(found)) else found
    if found is None:
        return None
    boxes = [_box(corners, scale, height) for corners in found.boxes]
    lines = [Word(text, box) for text, box in zip(found.txts, _level(boxes), strict=True) if text.strip()]
    words = list(_words(found, picture.shape[1], picture.shape[0]))
    return PageReading(lines, words, _confidence(found)) if lines else None


@cache
def _line_reader(threads: int) -> Any:
    from memorag_core.ingest.ocr_lines import LineReader

    return LineReader(threads)


@cache
def _engine(side: int, threads: int) -> Any:
    from memorag_core.ingest.ocr_lines import open_engine

    return open_engine(side, threads, _line_reader(threads))


def _recognize(picture: Any, side: int, threads: int) -> Any | None:
    found = _engine(side, threads)(picture)
    return found if found.txts else None


def _confidence(found: Any) -> float:
    return float(sum(found.scores) / len(found.scores))


def _box(corners: Any, scale: float, height: float) -> Box:
    """The box around four corners, in units of the page and from below."""
    across, down = [float(x) / scale for x, _ in corners], [float(y) / scale for _, y in corners]
    return Box(min(across), height - max(down), max(across), height - min(down))


def _level(boxes: list[Box]) -> list[Box]:
    """Give lines of about one height the same: the boxes of a picture tremble, and those of one font do not."""
    heights = [box.height for box in boxes]
    usual = [median(h for h in heights if abs(h - own) <= ALIKE * own) for own in heights]
    return [
        Box(box.left, box.middle - height / 2, box.right, box.middle + height / 2)
        for box, height in zip(boxes, usual, strict=True)
    ]


def _words(found: Any, width: int, height: int) -> Iterator[tuple[str, float, float, float, float]]:
    for text, _, corners in (word for line in found.word_results or () for word in line):
        across, down = [float(x) / width for x, _ in corners], [float(y) / height for _, y in corners]
        left, top = min(across), min(down)
        yield text, *(round(share, 5) for share in (left, top, max(across) - left, max(down) - top))
