"""The numbers that OpenDocument computes for items and headings, written into their paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from memorag_core.ingest.numbering import numeral

TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
LOEXT = "{urn:org:documentfoundation:names:experimental:office:xmlns:loext:1.0}"
XML_ID = "{http://www.w3.org/XML/1998/namespace}id"
FORMS = {"1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
NUMBERED = "numbered"
"""The attribute of an item that has its number."""

Levels = dict[int, Any]
Counts = dict[int, int]


def write_numbers(root: Any, styles: Any) -> None:
    """Put before each numbered item and heading the number that a reader sees."""
    named = {node.get(f"{STYLE}name"): _levels(node) for file in (styles, root) for node in _all(file, "list-style")}
    last: dict[str, Counts] = {}
    for top in list(root.iter(f"{TEXT}list")):
        if next(top.iterancestors(f"{TEXT}list"), None) is not None:
            continue
        name, earlier = top.get(f"{TEXT}style-name") or "", top.get(f"{TEXT}continue-list")
        goes_on = top.get(f"{TEXT}continue-numbering") == "true"
        counts = last.get(f"#{earlier}" if earlier else name, {}) if goes_on or earlier else {}
        last[name] = last[f"#{top.get(XML_ID)}"] = counts
        _number_list(top, named, name, 1, counts)
    _number_headings(root, styles)


def _number_list(node: Any, named: dict[str, Levels], name: str, level: int, counts: Counts) -> None:
    levels = named.get(name, {})
    if (start := node.get(f"{TEXT}start-value")) is not None:
        counts[level] = int(start) - 1
    for item in node:
        words = next((child for child in item if child.tag in {f"{TEXT}p", f"{TEXT}h"}), None)
        if item.tag == f"{TEXT}list-item" and words is not None and (label := _count(item, levels, level, counts)):
            words.text = f"{label} {words.text or ''}"
            item.set(NUMBERED, "")
        for inner in item.iterchildren(f"{TEXT}list"):
            _number_list(inner, named, inner.get(f"{TEXT}style-name") or name, level + 1, counts)


def _number_headings(root: Any, styles: Any) -> None:
    outline = next(_all(styles, "outline-style"), None)
    if outline is None:
        return
    plain = {
        style.get(f"{STYLE}name")
        for file in (styles, root)
        for style in file.iter(f"{STYLE}style")
        if style.get(f"{STYLE}list-style-name") == ""
    }
    levels, counts = _levels(outline), Counts()
    for heading in root.iter(f"{TEXT}h"):
        in_list = next(heading.iterancestors(f"{TEXT}list"), None) is not None
        if in_list or heading.get(f"{TEXT}is-list-header") == "true" or heading.get(f"{TEXT}style-name") in plain:
            continue
        if label := _count(heading, levels, int(heading.get(f"{TEXT}outline-level") or 1), counts):
            heading.text = f"{label} {heading.text or ''}"


def _count(node: Any, levels: Levels, level: int, counts: Counts) -> str:
    """Count one further at a level, begin the deeper ones anew, and write the number; none of a bullet."""
    start = node.get(f"{TEXT}start-value")
    counts[level] = int(start) if start else counts.get(level, _start(levels, level) - 1) + 1
    for deeper in [at for at in counts if at > level]:
        del counts[deeper]
    style = levels.get(level)
    if style is None or style.get(f"{STYLE}num-format") not in FORMS:
        return ""

    def number(at: int) -> str:
        form = FORMS.get(levels[at].get(f"{STYLE}num-format")) if at in levels else None
        return numeral(counts.setdefault(at, _start(levels, at)), form) if form else ""

    if pattern := style.get(f"{LOEXT}num-list-format"):
        return re.sub(r"%(\d)%", lambda match: number(int(match[1])), pattern).strip()
    shown = int(style.get(f"{TEXT}display-levels") or 1)
    numbers = filter(None, (number(at) for at in range(max(1, level - shown + 1), level + 1)))
    return f"{style.get(f'{STYLE}num-prefix') or ''}{'.'.join(numbers)}{style.get(f'{STYLE}num-suffix') or ''}".strip()


def _levels(style: Any) -> Levels:
    return {int(level.get(f"{TEXT}level")): level for level in style if level.get(f"{TEXT}level")}


def _start(levels: Levels, level: int) -> int:
    return int(levels[level].get(f"{TEXT}start-value") or 1) if level in levels else 1


def _all(file: Any, name: str) -> Iterator[Any]:
    return iter(()) if file is None else file.iter(f"{TEXT}{name}")
