"""The order in which people read a page: lines, columns one after the other, tables row by row.

What stands apart by more than the height of its letters is a run of its own. Rows of runs that keep one gap clear are a
block: columns of prose where the runs are long, else a table. Whatever is no block is lines, from top to bottom.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from statistics import median

from memorag_core.ingest.pdf_grid import Rulings
from memorag_core.ingest.pdf_words import BREAK, Box, Word

APART = 1.0
"""How many heights of its letters lie between runs."""
TOUCHING = 0.1
FAR = 3.0
LONG = 9.0
"""How many heights a run of prose in a column is wide; cells are mostly shorter."""
MIN_LINES = 3
WIDER_GAP = 1.35

_LEFT = attrgetter("left")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]{2}")
_BULLET = re.compile(r"(?:[-–•*▪◦●○·]|\(?\w{1,4}[.)])\Z")


@dataclass(slots=True)
class Run:
    """Words that stand side by side."""

    text: str
    box: Box


Level = list[Run]


@dataclass(slots=True)
class Prose:
    """Lines of prose, one below the other."""

    runs: list[Run]


@dataclass(slots=True)
class Cells:
    """Rows with a cell for each column."""

    rows: list[list[str]]


def lay_out(words: Sequence[Word], rulings: Rulings) -> list[Prose | Cells]:
    """Order the words of a page, its ruled tables between what is above and what is below them."""
    parts: list[Prose | Cells] = []
    left = list(words)
    for grid in rulings.grids():
        cells: dict[tuple[int, int], list[Word]] = defaultdict(list)
        outside = []
        for word in left:
            if cell := grid.cell(word.box):
                cells[cell].append(word)
            else:
                outside.append(word)
        if len(cells) < 2:
            continue
        parts += _unruled([word for word in outside if -word.box.middle < grid.rows[0]], rulings)
        parts.append(_fill(cells))
        left = [word for word in outside if -word.box.middle >= grid.rows[0]]
    return parts + _unruled(left, rulings)


def _fill(cells: dict[tuple[int, int], list[Word]]) -> Cells:
    """Write the rows and columns in which something stands."""
    rows, columns = (sorted({at[axis] for at in cells}) for axis in (0, 1))
    parts = []
    for row in rows:
        lines = {column: _rows(_runs(cells[row, column])) for column in columns if (row, column) in cells}
        parts += _part(lines)
    return Cells([[" ".join(_join(line).text for line in part.get(at, ())) for at in columns] for part in parts])


def _part(row: dict[int, list[Level]]) -> list[dict[int, list[Level]]]:
    """Part rows that no lines part: at least half of the cells have a line on each level, one of them figures in all.

    A cell that is wrapped has more lines than those beside it.
    """
    levels = _rows([_join(line) for lines in row.values() for line in lines])
    whole = [lines for lines in row.values() if len(lines) == len(levels)]
    if len(levels) < 2 or len(whole) < max(2, len(row) / 2) or not any(map(_are_figures, whole)):
        return [row]
    places = [level[0].box for level in levels]
    return [{at: [line for line in lines if _is_level(line, place)] for at, lines in row.items()} for place in places]


def _are_figures(lines: list[Level]) -> bool:
    return all(any(character.isdigit() for run in line for character in run.text) for line in lines)


def _is_level(line: Level, place: Box) -> bool:
    box = line[0].box
    return abs(box.middle - place.middle) < min(box.height, place.height) / 2


def _unruled(words: Sequence[Word], rulings: Rulings) -> list[Prose | Cells]:
    rows = _rows(_runs(words))
    parts: list[Prose | Cells] = []
    lines: list[Run] = []
    at = 0
    levels = [box.middle for box in rulings.level]
    while at < len(rows):
        block, found = _read_block(*_block(rows[at:]), levels)
        if not found:
            lines.append(_join(rows[at]))
            at += 1
            continue
        parts += [Prose(lines)] if lines else []
        parts += found
        lines, at = [], at + len(block)
    return [*parts, Prose(lines)] if lines else parts


def _runs(words: Iterable[Word]) -> list[Run]:
    runs: list[Run] = []
    for word in words:
        last = runs[-1] if runs else None
        if last is None or not _is_beside(last.box, word.box):
            runs.append(Run(word.text, word.box))
            continue
        touches = last.text[-1] in BREAK or abs(word.box.left - last.box.right) < TOUCHING * word.box.height
        last.text += word.text if touches else f" {word.text}"
        last.box = last.box.around(word.box)
    return runs


def _is_beside(one: Box, other: Box) -> bool:
    high, wide = one.top - one.bottom, other.top - other.bottom
    height = high if high < wide else wide
    if other.left - one.right >= APART * height or one.left - other.right >= APART * height:
        return False
    return abs(one.middle - other.middle) < height / 2


def _rows(runs: list[Run]) -> list[Level]:
    """Runs at one height, from top to bottom, each row from left to right."""
    rows: list[Level] = []
    middle, high = 0.0, -1.0
    for run in sorted(runs, key=_from_top):
        height = run.box.top - run.box.bottom
        if rows and abs(middle - run.box.middle) < min(high, height) / 2:
            rows[-1].append(run)
        else:
            rows.append([run])
            middle, high = run.box.middle, height
    for row in rows:
        if len(row) > 1 and not any(_RIGHT_TO_LEFT.search(run.text) for run in row):
            row.sort(key=lambda run: run.box.left)
    return rows


def _from_top(run: Run) -> float:
    return -(run.box.bottom + run.box.top) / 2


def _join(row: Level) -> Run:
    """Put runs of a row, or none, together."""
    if not row:
        return Run("", Box(0, 0, 0, 0))
    if len(row) == 1:
        return row[0]
    text, box = row[0].text, row[0].box
    for run in row[1:]:
        near = run.box.left - box.right < run.box.height / 2
        text += ("" if near and _CJK.match(text[-1:] + run.text[:1]) else " ") + run.text
        box = box.around(run.box)
    return Run(text, box)


def _block(rows: list[Level]) -> tuple[list[Level], list[Box]]:
    """Take rows from the first on as long as the same gaps stay clear; return them with their columns."""
    block: list[Level] = []
    columns: list[Box] = []
    for row in rows:
        merged = _columns([*columns, *(run.box for run in row)])
        crosses = bool(columns) and len(merged) < len(columns) and len(row) == 1
        if crosses or (len(block) > 1 and len(merged) < 2) or (block and _is_far(block[-1], row)):
            break
        if columns and len(merged) < len(row):
            break
        block, columns = [*block, row], merged
    return block, columns


def _is_far(above: Level, row: Level) -> bool:
    return above[0].box.bottom - row[0].box.top > FAR * min(above[0].box.height, row[0].box.height)


def _columns(boxes: list[Box]) -> list[Box]:
    if len(boxes) == 1:
        return boxes
    merged: list[Box] = []
    for box in sorted(boxes, key=_LEFT):
        if merged and box.left - merged[-1].right < APART * box.height / 2:
            merged[-1] = merged[-1].around(box)
        else:
            merged.append(box)
    return merged


def _read_block(
    rows: list[Level], columns: list[Box], rulings: Sequence[float]
) -> tuple[list[Level], list[Prose | Cells]]:
    """Read columns of prose, or a table; nothing where the rows are neither. Return the rows that were read."""
    if len(columns) < 2:
        return rows, []
    top, bottom = rows[0][0].box.top, rows[-1][0].box.bottom
    within = [ruling for ruling in rulings if bottom - 1 < ruling < top + 1]
    prose = [[_join(found) for row in rows if (found := _in(row, column))] for column in columns]
    if len(within) < 2 and all(len(column) >= MIN_LINES and _is_prose(column) for column in prose):
        return rows, [Prose(column) for column in prose]
    while rows and len(rows[-1]) == 1 and _in(rows[-1], columns[0]):
        rows = rows[:-1]
    if sum(len(row) > 1 for row in rows) < 2 or len(rows[0]) == 1 or all(_BULLET.match(run.text) for run in prose[0]):
        return rows, []
    logical = _logical_rows(rows, columns, within)
    return rows, [Cells([[_join(_in(row, column)).text for column in columns] for row in logical])]


def _in(row: Level, column: Box) -> Level:
    return [run for run in row if _is_in(run, column)]


def _is_in(run: Run, column: Box) -> bool:
    box = run.box
    return column.left - 1 <= (box.left + box.right) / 2 <= column.right + 1


def _is_prose(column: list[Run]) -> bool:
    return median((run.box.right - run.box.left) / (run.box.height or 1) for run in column) >= LONG


def _logical_rows(rows: list[Level], columns: list[Box], rulings: Sequence[float]) -> list[Level]:
    """Put the lines of wrapped cells together: what no ruling parts, or what leaves the first column empty.

    Between two rulings, figures in a line that fills half of the columns begin a row too.
    """
    gaps = [above[0].box.middle - row[0].box.middle for above, row in pairwise(rows)]
    out = [list(rows[0])]
    for (above, row), gap in zip(pairwise(rows), gaps, strict=True):
        if len(rulings) > 1:
            ends = any(row[0].box.middle < ruling < above[0].box.middle for ruling in rulings)
            ends = ends or (len(row) >= max(2, len(columns) / 2) and _are_figures([row]) and len(above) >= len(row))
        else:
            ends = any(_is_in(run, columns[0]) for run in row) or len(row) > 1 or gap > WIDER_GAP * min(gaps)
        if ends:
            out.append([])
        out[-1] += row
    return out
