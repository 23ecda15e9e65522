"""Workbooks, by calamine: each sheet is a page, each row a line, its cells apart; below it what stands beside them."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import PurePath
from typing import Any
from zipfile import BadZipFile, ZipFile

from memorag_core.ingest.archive import OLE, open_archive
from memorag_core.ingest.extract import Extract, extract_pages
from memorag_core.ingest.sheet_parts import read_beside_cells

BESIDE = {
    "sheets with comments in binary": re.compile(r"\Axl/comments\d*\.bin\Z"),
    "charts": re.compile(r"\Axl/charts/chart\w*\.xml\Z"),
    "pictures": re.compile(r"\Axl/media/"),
}


def read(data: bytes, what: str, limit: int) -> Extract:
    """Read the values of XLSX, XLSB, XLS and ODS; hidden sheets are left out, and told."""
    from lxml.etree import XMLSyntaxError
    from python_calamine import CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

    beside, lines = dict[str, int](), dict[str, list[str]]()
    damaged: list[str] = []
    if not data.startswith(OLE):
        with open_archive(data, what) as archive:
            beside = _count_beside(archive)
            try:
                lines = read_beside_cells(archive)
            except (XMLSyntaxError, BadZipFile, zlib.error) as error:
                damaged.append(str(error))
    book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    sheets = [sheet for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
    shown = [sheet.name for sheet in sheets if sheet.visible == SheetVisibleEnum.Visible]
    text, pages = extract_pages(
        (_sheet(book, name, lines.get(name, []), len(shown) > 1) for name in shown), what, limit
    )
    told = [("hidden sheets", [sheet.name for sheet in sheets if sheet.name not in shown])]
    told += [("sheets that are a chart", [sheet.name for sheet in book.sheets_metadata if sheet not in sheets])]
    told += [(kind, [f"{number:,}"]) for kind, number in beside.items() if number]
    told += [("comments and text boxes, which are damaged", damaged)]
    notice = " ".join(f"Left out: {kind} ({', '.join(names)})." for kind, names in told if names)
    return Extract(text, title=PurePath(what).stem, pages=pages, notice=notice)


def _count_beside(archive: ZipFile) -> dict[str, int]:
    """Count what of a workbook is not in its cells."""
    names = archive.namelist()
    return {kind: sum(pattern.search(name) is not None for name in names) for kind, pattern in BESIDE.items()}


def _sheet(book: Any, name: str, beside: list[str], named: bool) -> str:
    """Write a sheet, and what it says beside its cells, under its name where it has others beside it."""
    rows = list(_rows(book.get_sheet_by_name(name)))
    width = max(map(len, rows), default=0)
    lines = [" | ".join([*row, *[""] * (width - len(row))]).rstrip() for row in rows]
    lines += ["", *beside] if beside else []
    return "\n".join([f"# {name}\n", *lines] if named and lines else lines)


def _rows(sheet: Any) -> Iterator[list[str]]:
    """Yield the rows that have something in them, without the empty cells at their ends."""
    for values in sheet.iter_rows():
        cells = [_cell(value) for value in values]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            yield cells


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    return value.isoformat() if isinstance(value, date | time) else " ".join(str(value).split())
