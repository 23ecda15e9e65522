"""Workbooks, by calamine: each sheet is a page, each row a line, its cells apart as in every table."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import PurePath
from typing import Any
from zipfile import ZipFile

from memorag_core.ingest.archive import OLE, open_archive
from memorag_core.ingest.extract import Extract, extract_pages

BESIDE = {
    "comments": re.compile(r"\Axl/(?:comments|comments/comment)\d*\.xml\Z"),
    "charts": re.compile(r"\Axl/charts/chart\w*\.xml\Z"),
    "pictures": re.compile(r"\Axl/media/"),
}
_COMMENT = re.compile(rb"<(?:\w+:)?comment\s")


def read(data: bytes, what: str, limit: int) -> Extract:
    """Read the values of XLSX, XLSB, XLS and ODS; hidden sheets are left out, and told."""
    from python_calamine import CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

    beside: dict[str, int] = {}
    if not data.startswith(OLE):
        with open_archive(data, what) as archive:
            beside = _count_beside(archive)
    book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    sheets = [sheet for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
    shown = [sheet.name for sheet in sheets if sheet.visible == SheetVisibleEnum.Visible]
    text, pages = extract_pages((_sheet(book, name, len(shown) > 1) for name in shown), what, limit)
    told = [("hidden sheets", [sheet.name for sheet in sheets if sheet.name not in shown])]
    told += [("sheets that are a chart", [sheet.name for sheet in book.sheets_metadata if sheet not in sheets])]
    told += [(kind, [f"{number:,}"]) for kind, number in beside.items() if number]
    notice = " ".join(f"Left out: {kind} ({', '.join(names)})." for kind, names in told if names)
    return Extract(text, title=PurePath(what).stem, pages=pages, notice=notice)


def _count_beside(archive: ZipFile) -> dict[str, int]:
    """Count what of a workbook is not in its cells."""
    files = {kind: [name for name in archive.namelist() if pattern.search(name)] for kind, pattern in BESIDE.items()}
    notes = sum(len(_COMMENT.findall(archive.read(name))) for name in files["comments"])
    return {kind: len(names) for kind, names in files.items()} | {"comments": notes}


def _sheet(book: Any, name: str, named: bool) -> str:
    """Write a sheet under its name, where it has others beside it."""
    rows = list(_rows(book.get_sheet_by_name(name)))
    width = max(map(len, rows), default=0)
    lines = [" | ".join([*row, *[""] * (width - len(row))]).rstrip() for row in rows]
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
