"""A page's tree as a reader sees it: nothing hidden, cells repeated where they span, values of fields as text."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

MAX_SPAN = 50
LONG_CELL = 400
BLOCKS = ("table", "ul", "ol", "dl", "pre", "h1", "h2", "h3", "h4", "h5", "h6")
STRUCK = {"del", "s", "strike"}
WITHOUT_VALUE = {"hidden", "password", "submit", "button", "reset", "image", "file"}

_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|text-decoration[^;]{0,99}line-through", re.I
)


def is_left_out(node: Any) -> bool:
    """True for what a page hides or strikes through."""
    if node.tag in STRUCK:
        return True
    hidden = node.get("hidden") is not None or node.get("aria-hidden") == "true"
    return hidden or bool(_HIDDEN.search(node.get("style") or ""))


def main_part(root: Any) -> Any:
    """The part that a page declares its main one, if exactly one and not empty; else all of it."""
    found = root.xpath("//main[not(@hidden)] | //*[@role='main']") or root.xpath("//article")
    return found[0] if len(found) == 1 and "".join(found[0].itertext()).strip() else root


def text_of_field(node: Any) -> str:
    """What stands in a form's field, or for a picture."""
    if node.tag == "img":
        alt = (node.get("alt") or "").strip()
        return f"[Image: {alt}]" if alt else ""
    if node.tag == "input":
        kind = (node.get("type") or "text").lower()
        if kind in {"checkbox", "radio"}:
            return "[x]" if node.get("checked") is not None else "[ ]"
        return "" if kind in WITHOUT_VALUE else node.get("value") or ""
    if node.tag == "select":
        options = node.findall(".//option")
        chosen = [option for option in options if option.get("selected") is not None] or options[:1]
        return ", ".join("".join(option.itertext()).strip() for option in chosen)
    return node.text or "" if node.tag == "textarea" else ""


def is_one_line(cell: Any) -> bool:
    """True for a cell of a table of facts; others lay a page out."""
    return next(cell.iter(*BLOCKS), None) is None and len("".join(cell.itertext())) <= LONG_CELL


def repeat_spans(root: Any) -> None:
    """Write a cell again in each row and column that it spans."""
    for table in list(root.iter("table")):
        below: dict[int, tuple[int, Any]] = {}
        for row in table.xpath("./tr | ./thead/tr | ./tbody/tr | ./tfoot/tr"):
            _fill(row, below)


def _fill(row: Any, below: dict[int, tuple[int, Any]]) -> None:
    """Put into a row the cells that reach down into it, and note those that reach below it."""
    column = 0
    for cell in [node for node in row if node.tag in {"td", "th"}]:
        while (above := below.get(column, (0, None)))[0]:
            cell.addprevious(_copy(row, above[1]))
            below[column] = (above[0] - 1, above[1])
            column += 1
        repeated = cell if is_one_line(cell) else None
        width, height = _span(cell, "colspan"), _span(cell, "rowspan")
        for extra in range(width):
            below[column + extra] = (height - 1, repeated)
            if extra:
                cell.addnext(_copy(row, repeated))
        column += width
    while (above := below.get(column, (0, None)))[0]:
        row.append(_copy(row, above[1]))
        below[column] = (above[0] - 1, above[1])
        column += 1


def _span(cell: Any, name: str) -> int:
    value = cell.get(name) or "1"
    return max(1, min(int(value), MAX_SPAN)) if value.isdecimal() else 1


def _copy(row: Any, cell: Any) -> Any:
    if cell is None:
        return row.makeelement("td", {})
    copy = deepcopy(cell)
    copy.tail = None
    return copy
