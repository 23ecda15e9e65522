"""Tables in plain text (Markdown, CSV, cells between bars or tabs): where their rows are, and what heads them."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice

Line = tuple[int, int]

FEWEST_ROWS = 3
LONGEST_CELL = 40
LONGEST_HEADER = 200
LONGEST_ROW = 20_000
MOST_TABLES = 100_000
"""Of a text. Collecting garbage holds all threads for half a microsecond for each."""

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
    for separators in (_SEPARATORS[:2], _SEPARATORS[2:]):
        found = (table for separator in separators for table in _tables(text, separator))
        if tables := list(islice(found, MOST_TABLES)):
            return tables
    return []


def header_at(tables: Sequence[Table], start: int) -> str:
    """The header row that a passage which begins at `start` lacks, or nothing."""
    at = bisect(tables, start, key=lambda table: table.start) - 1
    return tables[at].header if at >= 0 and tables[at].heads(start) else ""


def _tables(text: str, separator: re.Pattern[str]) -> Iterator[Table]:
    if not separator.search(text):
        return
    lines = ((match.start(), match.end()) for match in _LINE.finditer(text))
    for (_, separators), block in groupby(_number_rows(text, lines, separator), key=lambda item: item[0]):
        if separators and (table := _read_table(text, (line for _, line in block), separator)):
            yield table


def _read_table(text: str, lines: Iterator[Line], separator: re.Pattern[str]) -> Table | None:
    """Read lines of as many cells, no two of them at once: there may be millions. None where none heads the others."""
    start, end = next(lines)
    first, second = _cells(text[start:end], separator), next(lines, None)
    ruled = second is not None and _RULE.fullmatch(text[slice(*second)]) is not None
    if second is None or len(first) < 2 or not (ruled or _are_names(first)):
        return None
    rows, last, compared = 1, second, False
    with_figures = set(range(len(first)))
    for last in chain([second], lines):
        rows += 1
        row = [] if ruled else _cells(text[slice(*last)], separator)
        if len(row) == len(first):
            compared = True
            with_figures -= {column for column in with_figures if not _FIGURE.search(row[column])}
            if not with_figures:
                return None
    if rows < FEWEST_ROWS or not (ruled or compared):
        return None
    return Table(start, last[1], text[start:end].strip()[:LONGEST_HEADER])


def _are_names(cells: Sequence[str]) -> bool:
    """Whether each cell is a short word of its own, without figures."""
    short = all(cell and len(cell) <= LONGEST_CELL and not _FIGURE.search(cell) for cell in cells)
    return short and len(set(cells)) == len(cells)


def _number_rows(
    text: str, lines: Iterable[Line], separator: re.Pattern[str]
) -> Iterator[tuple[tuple[int, int], Line]]:
    """Each line with its block and the separators in it: a blank line, or another number of them, ends a block."""
    block, before, width = 0, -1, -1
    for start, end in lines:
        cells = len(separator.findall(text, start, end)) if end - start <= LONGEST_ROW else 0
        if start != before + 1 or cells != width:
            block += 1
        yield (block, cells), (start, end)
        before, width = end, cells


def _cells(line: str, separator: re.Pattern[str]) -> list[str]:
    return [cell.strip() for cell in separator.split(line.strip().strip("|"))]
