"""What a Word file says beside its plain paragraphs, brought into them before they are read.

Numbers that Word computes, text boxes, equations, headers and footers, comments; hidden words are counted.
"""

from __future__ import annotations

import io
import re
from functools import partial
from typing import Any
from zipfile import ZIP_STORED, ZipFile

from memorag_core.ingest.docx_equations import write_equations
from memorag_core.ingest.docx_numbers import write_numbers
from memorag_core.ingest.extract import Counted
from memorag_core.ingest.xml_parts import parse_xml

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
MAIN = "word/document.xml"
MAX_SKIPPED = 63
"""Columns of a Word table."""

_parse = partial(parse_xml, huge=True)
_MARGIN = re.compile(r"word/(header|footer)\d*\.xml\Z")


def prepare_docx(archive: ZipFile, counted: Counted) -> io.BytesIO:
    """Write the file anew with all that it says in its paragraphs."""
    files = {name: archive.read(name) for name in archive.namelist()}
    if MAIN in files:
        root = _parse(files[MAIN])
        _leave_out(root, counted)
        write_equations(root)
        _fill_rows(root)
        _lift_boxes(root)
        numbering, styles = (
            _parse(files[n]) if n in files else None for n in ("word/numbering.xml", "word/styles.xml")
        )
        write_numbers(root, numbering, styles)
        _add_margins(root, files)
        files[MAIN] = _serialize(root)
    for name in ("word/footnotes.xml", "word/endnotes.xml"):
        if name in files:
            notes = _parse(files[name])
            _leave_out(notes, counted)
            write_equations(notes)
            files[name] = _serialize(notes)
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_STORED) as copy:
        for name, data in files.items():
            copy.writestr(name, data)
    out.seek(0)
    return out


def _leave_out(root: Any, counted: Counted) -> None:
    """Take out hidden and struck runs, and count what changes that are tracked have deleted."""
    for run in list(root.iter(f"{W}r")):
        properties = run.find(f"{W}rPr")
        marks = (
            [] if properties is None else [properties.find(f"{W}{name}") for name in ("vanish", "strike", "dstrike")]
        )
        shown = [mark is None or mark.get(f"{W}val") in {"0", "false", "off"} for mark in marks]
        if all(shown) or not "".join(run.itertext()).strip():
            continue
        counted.add("hidden runs" if not shown[0] else "struck runs", 1)
        run.getparent().remove(run)
    deleted = sum(next(node.iter(f"{W}delText"), None) is not None for node in root.iter(f"{W}del"))
    counted.add("deletions of tracked changes, taken as accepted", deleted)


def _fill_rows(root: Any) -> None:
    """Begin rows that start late with the empty cells that a reader sees there."""
    for row in root.iter(f"{W}tr"):
        late = row.find(f"{W}trPr/{W}gridBefore")
        value = "0" if late is None else late.get(f"{W}val") or "0"
        first = row.find(f"{W}tc")
        for _ in range(min(int(value), MAX_SKIPPED) if value.isdecimal() and first is not None else 0):
            cell = row.makeelement(f"{W}tc", {})
            cell.append(row.makeelement(f"{W}p", {}))
            first.addprevious(cell)


def _lift_boxes(root: Any) -> None:
    """Move the paragraphs of text boxes behind the paragraph they hang on; of two versions of one, the newer."""
    for choice in list(root.iter(f"{MC}AlternateContent")):
        newer, older = choice.find(f"{MC}Choice"), choice.find(f"{MC}Fallback")
        if older is not None and newer is not None and next(newer.iter(f"{W}txbxContent"), None) is not None:
            choice.remove(older)
    for box in list(root.iter(f"{W}txbxContent")):
        holder = next((node for node in box.iterancestors(f"{W}p")), None)
        if holder is not None:
            for paragraph in reversed(box):
                holder.addnext(paragraph)


def _add_margins(root: Any, files: dict[str, bytes]) -> None:
    """Write each header once before the text, each footer and comment once behind it."""
    body = root.find(f"{W}body")
    if body is None:
        return
    seen: dict[str, str] = {}
    for name in sorted(filter(_MARGIN.match, files)):
        for words in _lines(_parse(files[name])):
            seen.setdefault(words, "header" if "header" in name else "footer")
    for words in reversed([words for words, place in seen.items() if place == "header"]):
        body.insert(0, _paragraph(body, words))
    ends = [words for words, place in seen.items() if place == "footer"]
    if "word/comments.xml" in files:
        comments = _parse(files["word/comments.xml"]).iter(f"{W}comment")
        ends += [f"[Comment by {node.get(f'{W}author') or 'unknown'}: {' '.join(_lines(node))}]" for node in comments]
    last = body.find(f"{W}sectPr")
    for words in ends:
        (body.append if last is None else last.addprevious)(_paragraph(body, words))


def _lines(root: Any) -> list[str]:
    """The words of each paragraph that has any."""
    found = ("".join(node.text or " " for node in p.iter(f"{W}t", f"{W}tab")) for p in root.iter(f"{W}p"))
    return [words.strip() for words in found if words.strip()]


def _paragraph(body: Any, words: str) -> Any:
    paragraph = body.makeelement(f"{W}p", {})
    run = body.makeelement(f"{W}r", {})
    text = body.makeelement(f"{W}t", {})
    text.text = words
    run.append(text)
    paragraph.append(run)
    return paragraph


def _serialize(root: Any) -> bytes:
    from lxml import etree

    return etree.tostring(root, encoding="utf-8", xml_declaration=True)  # type: ignore[no-any-return]  # no types
