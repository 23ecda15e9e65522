"""Tables in plain text (Markdown, CSV, cells between bars or tabs): where their rows are, and what heads them."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

Line = tuple[int, int]

FEWEST_ROWS = 3
LONGEST_CELL = 40
LONGEST_HEADER = 200
LONGEST_ROW = 20_000

_LINE = re.compile(r"[^\n]+")
_RULE = re.compile(r"\s*+(?:\|\s*+)?:?-{2,}+:?\s*+(?:\|\s*+:?-{2,}+:?\s*+)*+(?:\|\s*+)?")
_SEPARATORS = (re.compile(r"\|"), re.compile(r"\t"), re.compile(r";(?=\S|$)"), re.compile(r",(?=\S|$)"))
_FIGURE = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows `text[start:end]`, the first of which, `header`, says what stands in each column."""

    start: int
    end: int
    header: str

    def heads(self, start: int) -> bool:
        """Whether a passage that begins at `start` is among its rows and lacks the header."""
        return self.start < start < self.end


def find_tables(text: str) -> list[Table]:
    """The tables of a text that have a header row, in order.

    A table is some lines in a row, each of as many cells; its header is marked by a rule below it, as Markdown does,
    or has a short word in each cell where the rows below have figures.
    """
    return [table for separator in _SEPARATORS[:2] for table in _tables(text, separator)] or [
        table for separator in _SEPARATORS[2:] for table in _tables(text, separator)
    ]


def header_at(tables: Sequence[Table], start: int) -> str:
    """The header row that a passage which begins at `start` lacks, or nothing."""
    at = bisect(tables, start, key=lambda table: table.start) - 1
    return tables[at].header if at >= 0 and tables[at].heads(start) else ""


def _tables(text: str, separator: re.Pattern[str]) -> Iterator[Table]:
    if not separator.search(text):
        return
    cells = partial(_cells, separator=separator)
    lines = [(match.start(), match.end()) for match in _LINE.finditer(text)]
    for (_, separators), group in groupby(_number_rows(text, lines, separator), key=lambda item: item[0]):
        if not separators:
            continue
        spans = [span for _, span in group]
        rows = [cells(text[start:end]) for start, end in spans]
        if len(rows[0]) > 1 and len(rows) >= FEWEST_ROWS and _has_header(text, spans, rows):
            start, end = spans[0]
            yield Table(start, spans[-1][1], text[start:end].strip()[:LONGEST_HEADER])


def _number_rows(
    text: str, lines: Sequence[Line], separator: re.Pattern[str]
) -> Iterator[tuple[tuple[int, int], Line]]:
    """Each line with its block and the separators in it: a blank line, or another number of them, ends a block."""
    block, before, width = 0, -1, -1
    for start, end in lines:
        cells = len(separator.findall(text, start, end)) if end - start <= LONGEST_ROW else 0
        if start != before + 1 or cells != width:
            block += 1
        yield (block, cells), (start, end)
        before, width = end, cells


def _has_header(text: str, spans: Sequence[Line], rows: Sequence[Sequence[str]]) -> bool:
    if _RULE.fullmatch(text[slice(*spans[1])]):
        return True
    first, below = rows[0], rows[1:]
    named = all(cell and len(cell) <= LONGEST_CELL and not _FIGURE.search(cell) for cell in first)
    columns = zip(*(row for row in below if len(row) == len(first)), strict=True)
    return named and len(set(first)) == len(first) and any(all(map(_FIGURE.search, column)) for column in columns)


def _cells(line: str, separator: re.Pattern[str]) -> list[str]:
    return [cell.strip() for cell in separator.split(line.strip().strip("|"))]
