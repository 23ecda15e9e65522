"""The numbers that Word computes for clauses, headings and items, written into their paragraphs."""

from __future__ import annotations

import re
from typing import Any

from memorag_core.ingest.numbering import numeral

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
LEVELS = 9
BULLETS = {"bullet", "none"}


def write_numbers(document: Any, numbering: Any, styles: Any) -> None:
    """Put before each numbered paragraph the number that a reader sees."""
    if numbering is None:
        return
    lists, counters = _Lists(numbering, styles), _Counters()
    for paragraph in document.iter(f"{W}p"):
        number, level = lists.of(paragraph)
        levels = lists.levels.get(number, {})
        if level not in levels or _value(levels[level], "numFmt", "decimal") in BULLETS:
            continue
        label = counters.next(lists.abstract[number], levels, level)
        if label:
            _prefix(paragraph, label)


class _Lists:
    """The lists of a file: the levels of each by its id."""

    def __init__(self, numbering: Any, styles: Any) -> None:
        abstract = {node.get(f"{W}abstractNumId"): node for node in numbering.findall(f"{W}abstractNum")}
        self.abstract: dict[str, str] = {}
        self.levels: dict[str, dict[int, Any]] = {}
        for num in numbering.findall(f"{W}num"):
            name, kind = num.get(f"{W}numId"), _value(num, "abstractNumId", "")
            levels = _levels(abstract[kind]) if kind in abstract else {}
            overrides = num.findall(f"{W}lvlOverride")
            for override in overrides:
                levels |= _levels(override)
            self.abstract[name], self.levels[name] = f"{kind}/{name}" if overrides else kind, levels
        found = [] if styles is None else styles.findall(f"{W}style")
        self._styles = {node.get(f"{W}styleId"): node for node in found}

    def of(self, paragraph: Any) -> tuple[str, int]:
        """Say which list a paragraph is in and at what level; by itself, else by its style or one that it builds on."""
        node, seen, level = paragraph, set[str](), None
        while node is not None:
            properties = node.find(f"{W}pPr/{W}numPr")
            if properties is not None:
                level = level if level is not None else _value(properties, "ilvl", None)
                if (number := _value(properties, "numId", None)) is not None:
                    return number, int(level or self._level_of(number, node))
            style = _value(node.find(f"{W}pPr"), "pStyle", "") if node is paragraph else _value(node, "basedOn", "")
            node = None if style in seen else self._styles.get(style)
            seen.add(style)
        return "", 0

    def _level_of(self, number: str, style: Any) -> int:
        name = style.get(f"{W}styleId")
        linked = (at for at, node in self.levels.get(number, {}).items() if name and _value(node, "pStyle", "") == name)
        return next(linked, 0)


class _Counters:
    """How far each list has come at each level."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[int, int]] = {}

    def next(self, name: str, levels: dict[int, Any], level: int) -> str:
        """Count one further at a level, begin the deeper ones anew, and write the number."""
        counts = self._counts.setdefault(name, {})
        counts[level] = counts.get(level, _start(levels, level) - 1) + 1
        for deeper in range(level + 1, LEVELS):
            counts.pop(deeper, None)
        legal = levels[level].find(f"{W}isLgl") is not None

        def number(match: re.Match[str]) -> str:
            at = int(match.group(1)) - 1
            counts.setdefault(at, _start(levels, at))
            form = "decimal" if legal or at not in levels else _value(levels[at], "numFmt", "decimal")
            return numeral(counts[at], form)

        return re.sub(r"%([1-9])", number, _value(levels[level], "lvlText", "") or "").strip()


def _levels(node: Any) -> dict[int, Any]:
    return {int(level.get(f"{W}ilvl")): level for level in node.findall(f"{W}lvl")}


def _start(levels: dict[int, Any], level: int) -> int:
    value = _value(levels[level], "start", "1") if level in levels else "1"
    return int(value) if value and value.isdecimal() else 1


def _value(node: Any, name: str, default: Any) -> Any:
    child = None if node is None else node.find(f"{W}{name}")
    return default if child is None else child.get(f"{W}val", default)


def _prefix(paragraph: Any, label: str) -> None:
    """Write a number as the first words of a paragraph, which then is no item of a list any more."""
    properties = paragraph.find(f"{W}pPr")
    if properties is None:
        properties = paragraph.makeelement(f"{W}pPr", {})
        paragraph.insert(0, properties)
    for old in properties.findall(f"{W}numPr"):
        properties.remove(old)
    style = properties.find(f"{W}pStyle")
    if style is not None and not re.match(r"(?i)heading|title|berschrift|titre|[1-9]\Z", style.get(f"{W}val") or ""):
        properties.remove(style)
    run = paragraph.makeelement(f"{W}r", {})
    text = paragraph.makeelement(f"{W}t", {"{http://www.w3.org/XML/1998/namespace}space": "preserve"})
    text.text = f"{label} "
    run.append(text)
    properties.addnext(run)
