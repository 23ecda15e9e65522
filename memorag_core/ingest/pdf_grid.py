"""Tables that a PDF page draws with lines: whatever stands between the same lines is a cell."""

from __future__ import annotations

import ctypes
import itertools
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from memorag_core.ingest.pdf_words import Box

THIN = 3.0
NEAR = 2.0
MOST = 0.5
MAX_PATHS = 5_000


@dataclass(frozen=True, slots=True)
class Grid:
    """A ruled table: from left to right where its columns end, from top to bottom where its rows do."""

    columns: list[float]
    rows: list[float]

    def cell(self, box: Box) -> tuple[int, int] | None:
        """Tell the row and column in which something stands, or None where it is outside."""
        across, down = (box.left + box.right) / 2, -box.middle
        row, column = bisect_left(self.rows, down), bisect_left(self.columns, across)
        inside = 0 < row < len(self.rows) and 0 < column < len(self.columns)
        return (row - 1, column - 1) if inside else None


@dataclass(frozen=True, slots=True)
class Rulings:
    """The lines of a page."""

    level: list[Box]
    upright: list[Box]

    def grids(self) -> list[Grid]:
        """Find the tables: where upright lines stand at the same heights, and level ones cross them."""
        found = []
        for top, bottom in _spans(self.upright):
            lines = [box for box in self.upright if bottom - NEAR <= box.middle <= top + NEAR]
            columns = _places([(box.left, box.height) for box in lines], top - bottom)
            crossing = [box for box in self.level if bottom - NEAR <= box.middle <= top + NEAR]
            width = max(box.right for box in lines) - min(box.left for box in lines)
            rows = _places([(-box.middle, box.right - box.left) for box in crossing], width)
            if len(columns) > 2 and len(rows) > 2:
                found.append(Grid(columns, rows))
        return found


def rulings_of(page: Any) -> Rulings:
    """Read the lines of a page, the sides of its boxes among them."""
    turned, level, upright = page.get_rotation(), list[Box](), list[Box]()
    for path, is_drawn in itertools.islice(_paths(page), MAX_PATHS):
        box = path.turned(turned)
        width, height = box.right - box.left, box.height
        if height < THIN < width:
            level.append(box)
        elif width < THIN < height:
            upright.append(box)
        elif is_drawn and min(width, height) > THIN:
            level += [Box(box.left, edge, box.right, edge) for edge in (box.bottom, box.top)]
            upright += [Box(edge, box.bottom, edge, box.top) for edge in (box.left, box.right)]
    return Rulings(level, upright)


def _paths(page: Any) -> Iterator[tuple[Box, bool]]:
    """Yield where each path is, and whether its outline is drawn, not only its inside."""
    from pypdfium2 import raw

    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    filling, drawn = ctypes.c_int(), ctypes.c_int()
    for number in range(raw.FPDFPage_CountObjects(page.raw)):
        path = raw.FPDFPage_GetObject(page.raw, number)
        if raw.FPDFPageObj_GetType(path) == raw.FPDF_PAGEOBJ_PATH:
            raw.FPDFPageObj_GetBounds(path, left, bottom, right, top)
            raw.FPDFPath_GetDrawMode(path, filling, drawn)
            yield Box(left.value, bottom.value, right.value, top.value), bool(drawn.value)


def _spans(boxes: Sequence[Box]) -> list[tuple[float, float]]:
    """The heights that lines take up together, from top to bottom."""
    spans: list[tuple[float, float]] = []
    for box in sorted(boxes, key=lambda box: -box.top):
        if spans and box.top >= spans[-1][1] - NEAR:
            spans[-1] = (spans[-1][0], min(spans[-1][1], box.bottom))
        else:
            spans.append((box.top, box.bottom))
    return spans


def _places(lines: list[tuple[float, float]], whole: float) -> list[float]:
    """Return where lines stand that together are as long as most of the table: no underlines, no marks at a margin."""
    lengths: list[tuple[float, float]] = []
    for place, length in sorted(lines):
        if lengths and place - lengths[-1][0] <= THIN:
            lengths[-1] = (lengths[-1][0], lengths[-1][1] + length)
        else:
            lengths.append((place, length))
    return [place for place, length in lengths if length >= MOST * whole]
