"""What a workbook says beside its cells, by sheet: comments with their places, text boxes, titles of charts.

Names are taken of any namespace: strict workbooks have others than most.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any
from zipfile import ZipFile

from memorag_core.ingest.odt_numbers import TEXT
from memorag_core.ingest.odt_parts import CONTENT, OFFICE, TABLE
from memorag_core.ingest.xml_parts import parse_xml

RELATIONS = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
STRICT_RELATIONS = "{http://purl.oclc.org/ooxml/officeDocument/relationships}id"
BOOK = "xl/workbook.xml"


def read_beside_cells(archive: ZipFile) -> dict[str, list[str]]:
    """Lines for each sheet by its name, of XLSX and ODS; of other kinds nothing."""
    names = set(archive.namelist())
    if CONTENT in names:
        return dict(_open_sheets(parse_xml(archive.read(CONTENT))))
    if BOOK not in names:
        return {}
    parts = _relations(archive, BOOK)
    sheets = [(sheet.get("name") or "", parts.get(_relation(sheet))) for sheet in _find(archive, BOOK, "{*}sheet")]
    return {name: list(_beside(archive, part[1])) for name, part in sheets if part and part[1] in names}


def _beside(archive: ZipFile, sheet: str) -> Iterator[str]:
    related = list(_relations(archive, sheet).values())
    threads = [part for kind, part in related if kind == "threadedComment"]
    for kind, part in related:
        if kind == "comments" and not threads:  # older programs find the threads there too
            yield from _read_comments(archive, part)
        elif kind == "drawing":
            yield from _read_drawing(archive, part)
    for part in threads:
        for comment in _find(archive, part, "{*}threadedComment"):
            yield _comment(comment.get("ref"), "", "".join(comment.itertext()))


def _read_comments(archive: ZipFile, part: str) -> Iterator[str]:
    if part not in archive.namelist():
        return
    root = parse_xml(archive.read(part))
    authors = [node.text or "" for node in root.iter("{*}author")]
    for node in root.iter("{*}comment"):
        number = node.get("authorId") or ""
        author = authors[int(number)] if number.isdecimal() and int(number) < len(authors) else ""
        yield _comment(node.get("ref"), author, "".join(text.text or "" for text in node.iter("{*}t")))


def _comment(place: str | None, author: str, words: str) -> str:
    by, on = (f" {word} {name}" if name else "" for word, name in (("by", author), ("on", place)))
    return f"[Comment{by}{on}: {' '.join(words.split())}]"


def _read_drawing(archive: ZipFile, part: str) -> Iterator[str]:
    """The paragraphs of text boxes, and the titles of charts, whose values stand in cells."""
    charts = {name: target for name, (kind, target) in _relations(archive, part).items() if kind == "chart"}
    for node in _find(archive, part, "{*}sp", "{*}chart"):
        if next(node.iterancestors("{*}Fallback"), None) is not None:
            continue  # what older programs show instead
        if node.tag.endswith("}sp"):
            yield from _paragraphs(node)
        elif (target := charts.get(_relation(node))) in archive.namelist():
            titles = parse_xml(archive.read(str(target))).iterfind("{*}chart/{*}title")
            yield from (f"[Chart: {words}]" for title in titles for words in _paragraphs(title))


def _paragraphs(node: Any) -> Iterator[str]:
    for paragraph in node.iter("{*}p"):
        words = " ".join("".join(run.text or "" for run in paragraph.iter("{*}t")).split())
        if words:
            yield words


def _relation(node: Any) -> str:
    return node.get(RELATIONS) or node.get(STRICT_RELATIONS) or ""


def _open_sheets(root: Any) -> Iterator[tuple[str, list[str]]]:
    for sheet in root.iter(f"{TABLE}table"):
        notes = (note.iter(f"{TEXT}p") for note in sheet.iter(f"{OFFICE}annotation"))
        lines = [_comment("", "", " ".join("".join(words.itertext()) for words in note)) for note in notes]
        shapes = (shape.iter(f"{TEXT}p") for shape in sheet.iterfind(f"{TABLE}shapes"))
        boxes = (" ".join("".join(words.itertext()).split()) for shape in shapes for words in shape)
        yield sheet.get(f"{TABLE}name") or "", [*filter(None, boxes), *lines]


def _relations(archive: ZipFile, part: str) -> dict[str, tuple[str, str]]:
    """What a part refers to, by id: the last word of its kind, and its name in the archive."""
    folder, name = posixpath.split(part)
    path = f"{folder}/_rels/{name}.rels"
    if path not in archive.namelist():
        return {}
    found = {}
    for node in parse_xml(archive.read(path)):
        target = node.get("Target") or ""
        inside = posixpath.normpath(posixpath.join(folder, target)) if not target.startswith("/") else target[1:]
        found[node.get("Id") or ""] = (node.get("Type") or "").rpartition("/")[2], inside
    return found


def _find(archive: ZipFile, part: str, *tags: str) -> Iterator[Any]:
    if part in archive.namelist():
        yield from parse_xml(archive.read(part)).iter(*tags)
