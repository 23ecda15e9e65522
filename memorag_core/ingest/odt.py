"""Texts and presentations of OpenDocument: headings, lists, tables, notes and comments in reading order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from memorag_core.ingest.archive import open_archive
from memorag_core.ingest.extract import Counted, Extract, extract_pages
from memorag_core.ingest.marks import subscript, superscript
from memorag_core.ingest.odt_numbers import NUMBERED, STYLE, TEXT
from memorag_core.ingest.odt_parts import DRAW, OFFICE, TABLE, prepare_document

BLANKS = {f"{TEXT}s": " ", f"{TEXT}tab": " ", f"{TEXT}line-break": "\n"}
LEFT_OUT = {f"{TEXT}tracked-changes", f"{OFFICE}forms", f"{TEXT}sequence-decls", f"{TEXT}alphabetical-index-mark"}
MAX_COLUMNS = 100
MAX_SPAN = 100


def read(data: bytes, what: str, limit: int) -> Extract:
    """Read ODT, a page of its own for each slide of ODP.

    Raises:
        InputError: no OpenDocument, or encrypted.
    """
    counted = Counted()
    with open_archive(data, what) as archive:
        root = prepare_document(archive, what, counted)
    styles = _raised_styles(root)
    body = root.find(f"{OFFICE}body")
    slides = [] if body is None else list(body.iter(f"{DRAW}page"))
    parts = slides or [root if body is None else body]
    text, pages = extract_pages(("\n\n".join(filter(None, _blocks(part, styles))) for part in parts), what, limit)
    return Extract(text, pages=pages if slides else (), notice=counted.notice())


def _raised_styles(root: Any) -> dict[str, bool]:
    """Tell for the names of styles whether what has them is raised (else lowered)."""
    found = {}
    for style in root.iter(f"{STYLE}style"):
        properties = style.find(f"{STYLE}text-properties")
        place = "" if properties is None else (properties.get(f"{STYLE}text-position") or "").split(" ")[0]
        if place in {"super", "sub"} or (place.rstrip("%").lstrip("-").isdigit() and not place.startswith("0")):
            found[style.get(f"{STYLE}name")] = place != "sub" and not place.startswith("-")
    return found


def _blocks(node: Any, styles: dict[str, bool]) -> Iterator[str]:
    """Yield paragraphs, items of lists and tables."""
    for child in node:
        if child.tag in LEFT_OUT:
            continue
        if child.tag == f"{TEXT}h":
            yield f"{'#' * min(int(child.get(f'{TEXT}outline-level') or 1), 6)} {_words(child, styles)}"
        elif child.tag == f"{TEXT}p":
            yield _words(child, styles).strip()
        elif child.tag == f"{TEXT}list-item":
            has_words = any(inner.tag in {f"{TEXT}p", f"{TEXT}h"} for inner in child)
            mark = "- " if has_words and NUMBERED not in child.attrib else ""
            yield mark + "\n".join(filter(None, _blocks(child, styles)))
        elif child.tag == f"{TABLE}table":
            rows = (row for row in child.iter(f"{TABLE}table-row") if next(row.iterancestors(f"{TABLE}table")) is child)
            yield "\n".join(_rows(rows, styles))
        else:
            yield from _blocks(child, styles)


def _rows(rows: Iterable[Any], styles: dict[str, bool]) -> Iterator[str]:
    """Write rows, a merged cell again in each row and column that it covers."""
    above: dict[int, tuple[int, str]] = {}
    for row in rows:
        cells: list[str] = []
        for cell in row:
            if cell.tag not in {f"{TABLE}table-cell", f"{TABLE}covered-table-cell"}:
                continue
            words = " ".join(" ".join(_blocks(cell, styles)).split())
            if sum(1 for _ in cell.iter(f"{TEXT}list-item")) == 1:
                words = words.removeprefix("- ")  # slides keep every cell as a list, and it is no minus
            deep, wide = (min(_number(cell, f"number-{way}-spanned"), MAX_SPAN) for way in ("rows", "columns"))
            for _ in range(min(_number(cell, "number-columns-repeated"), MAX_COLUMNS)):
                at = len(cells)
                if cell.tag == f"{TABLE}table-cell":
                    above |= {at + column: (deep - (column == 0), words) for column in range(wide)}
                    cells.append(words)
                else:
                    left, covering = above.get(at, (0, ""))
                    above[at] = (left - 1, covering)
                    cells.append(covering if left > 0 else words)
        while cells and not cells[-1]:
            cells.pop()
        yield " | ".join(cells)


def _number(cell: Any, name: str) -> int:
    return int(cell.get(f"{TABLE}{name}") or 1)


def _words(node: Any, styles: dict[str, bool], before: str = "") -> str:
    """Write a paragraph, or a part of one with something before it; its notes in brackets where they are called."""
    out = [node.text or ""]
    for child in node:
        if child.tag == f"{TEXT}note":
            body = child.find(f"{TEXT}note-body")
            out.append(f"[{'' if body is None else ' '.join(' '.join(body.itertext()).split())}]")
        elif child.tag == f"{OFFICE}annotation":
            out.append(f"[Comment: {' '.join(' '.join(child.itertext()).split())}]")
        elif child.tag in BLANKS:
            out.append(BLANKS[child.tag] * min(int(child.get(f"{TEXT}c") or 1), MAX_COLUMNS))
        elif child.tag not in LEFT_OUT and isinstance(child.tag, str):
            until = before + "".join(out)
            words = _words(child, styles, until)
            raised = styles.get(child.get(f"{TEXT}style-name") or "")
            out.append(words if raised is None else superscript(until, words) if raised else subscript(words))
        out.append(child.tail or "")
    return "".join(out)
