"""What an OpenDocument says beside its plain paragraphs, brought into them before they are read.

Numbers of lists, text boxes, charts, formulas, texts of pictures; what is hidden or struck is left out and counted.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any
from zipfile import ZipFile

from memorag_core.errors import InputError
from memorag_core.ingest.extract import Counted
from memorag_core.ingest.odt_numbers import STYLE, TEXT, write_numbers
from memorag_core.ingest.xml_parts import parse_xml

OASIS = "urn:oasis:names:tc:opendocument:xmlns"
OFFICE = f"{{{OASIS}:office:1.0}}"
DRAW = f"{{{OASIS}:drawing:1.0}}"
SHOW = f"{{{OASIS}:presentation:1.0}}"
TABLE = f"{{{OASIS}:table:1.0}}"
SVG = f"{{{OASIS}:svg-compatible:1.0}}"
HREF = "{http://www.w3.org/1999/xlink}href"
MATH = "{http://www.w3.org/1998/Math/MathML}"
BLOCKS = [f"{TEXT}p", f"{TEXT}h", f"{TEXT}list", f"{TABLE}table"]
LINES = {"solid", "dotted", "dash", "long-dash", "dot-dash", "dot-dot-dash", "wave"}
CONTENT, STYLES, MANIFEST = "content.xml", "styles.xml", "META-INF/manifest.xml"


def prepare_document(archive: ZipFile, what: str, counted: Counted) -> Any:
    """Return the root of a file's content with all that it says in its paragraphs.

    Raises:
        InputError: no OpenDocument, or encrypted.
    """
    names = set(archive.namelist())
    if CONTENT not in names:
        raise InputError(f"{what} holds no OpenDocument text. Open it and save it anew.")
    if MANIFEST in names and b":encryption-data" in archive.read(MANIFEST):
        raise InputError(f"{what} is encrypted. Save it without a password.")
    root = parse_xml(archive.read(CONTENT))
    styles = parse_xml(archive.read(STYLES)) if STYLES in names else root
    counted.add("tracked deletions", sum(1 for _ in root.iter(f"{TEXT}deletion")))
    _leave_out(root, styles, counted)
    write_numbers(root, styles)
    for shape in list(root.iter(f"{DRAW}*")):
        _open_shape(shape, archive, names, counted)
    _mark_notes(root)
    _lift_boxes(root)
    _add_margins(root, styles)
    return root


def _leave_out(root: Any, styles: Any, counted: Counted) -> None:
    """Take out what is struck or hidden, also whole slides, and count its parts."""
    for kind, names in (
        ("hidden parts", _styles_with(root, styles, f"{TEXT}display", {"none"})),
        ("struck parts", _styles_with(root, styles, f"{STYLE}text-line-through-style", LINES)),
    ):
        for node in list(root.iter(f"{TEXT}span", f"{TEXT}p", f"{TEXT}h")):
            if node.get(f"{TEXT}style-name") in names and "".join(node.itertext()).strip():
                node[:], node.text = [], ""
                counted.add(kind, 1)
    unseen = _styles_with(root, styles, f"{SHOW}visibility", {"hidden"})
    for slide in list(root.iter(f"{DRAW}page")):
        if slide.get(f"{DRAW}style-name") in unseen:
            slide[:] = []
            counted.add("hidden slides", 1)


def _styles_with(root: Any, styles: Any, attribute: str, values: set[str]) -> set[str]:
    """Return the names of the styles of which a property has one of some values."""
    return {
        style.get(f"{STYLE}name")
        for file in (styles, root)
        for style in file.iter(f"{STYLE}style")
        if any(properties.get(attribute) in values for properties in style)
    }


def _open_shape(shape: Any, archive: ZipFile, names: set[str], counted: Counted) -> None:
    """Write into a shape what is seen there: a chart's table, a formula, the text that stands for a picture."""
    described = [node.text.strip() for node in shape.iterchildren(f"{SVG}desc", f"{SVG}title") if node.text]
    for node in list(shape.iterchildren(f"{SVG}desc", f"{SVG}title")):
        shape.remove(node)
    held = next(shape.iterchildren(f"{DRAW}object", f"{DRAW}object-ole"), None)
    if held is None:
        if any(described):
            _add(shape, f"{TEXT}p", f"[Image: {' '.join(' '.join(described).split())}]")
        return
    file = posixpath.join(posixpath.normpath(held.get(HREF) or ""), CONTENT)
    inner = parse_xml(archive.read(file)) if file in names else held if len(held) else None
    formula = None if inner is None else next(inner.iter(f"{MATH}math"), None)
    if formula is not None:
        note = next(formula.iter(f"{MATH}annotation"), formula)
        _add(shape, f"{TEXT}span", " ".join("".join(note.itertext()).split()))
    elif inner is not None:
        _add(shape, f"{TEXT}section", "").extend([inner if (body := inner.find(f"{OFFICE}body")) is None else body])
    else:
        counted.add("embedded objects", 1)


def _add(parent: Any, tag: str, words: str) -> Any:
    node = parent.makeelement(tag, {})
    node.text = words
    parent.append(node)
    return node


def _mark_notes(root: Any) -> None:
    """Say that the speaker's notes are such, without the frames of their sheet."""
    for notes in root.iter(f"{SHOW}notes"):
        for frame in list(notes.iterchildren(f"{DRAW}frame")):
            if frame.get(f"{SHOW}class") not in {None, "notes"}:
                notes.remove(frame)
        for paragraph in [one for one in notes.iter(f"{TEXT}p") if "".join(one.itertext()).strip()][:1]:
            paragraph.text = f"Notes: {paragraph.text or ''}"


def _lift_boxes(root: Any) -> None:
    """Move what has paragraphs of its own behind the paragraph that it hangs on."""
    for shape in reversed([node for node in root.iter(f"{DRAW}*") if next(node.iter(*BLOCKS), None) is not None]):
        holder = next(shape.iterancestors(f"{TEXT}p", f"{TEXT}h"), None)
        around: Any = next(shape.iterancestors(f"{DRAW}*", f"{TEXT}p", f"{TEXT}h"), None)
        if holder is None or around is not holder:
            continue  # it moves with the shape that it is in
        before, parent = shape.getprevious(), shape.getparent()
        if before is None:
            parent.text = (parent.text or "") + (shape.tail or "")
        else:
            before.tail = (before.tail or "") + (shape.tail or "")
        shape.tail = None
        holder.addnext(shape)


def _add_margins(root: Any, styles: Any) -> None:
    """Write each header once before the text, each footer once behind it."""
    body = root.find(f"{OFFICE}body")
    if body is None or not len(body):
        return
    seen: dict[str, bool] = {}
    for is_header, node in _margins(root, styles):
        for field in list(node.iter(f"{TEXT}page-number", f"{TEXT}page-count")):
            field.text = ""
        for paragraph in node.iter(f"{TEXT}p"):
            words = " ".join("".join(paragraph.itertext()).split())
            if words and "<" not in words:  # what stands for a field
                seen.setdefault(words, is_header)
    pages = list(body.iter(f"{DRAW}page")) or [body[0]]
    for words in reversed([words for words, is_header in seen.items() if is_header]):
        pages[0].insert(0, _add(pages[0], f"{TEXT}p", words))
    for words in (words for words, is_header in seen.items() if not is_header):
        _add(pages[-1], f"{TEXT}p", words)


def _margins(root: Any, styles: Any) -> Iterator[tuple[bool, Any]]:
    """Yield headers (True) and footers of pages, and of slides what stands in their place."""
    for page in styles.iter(f"{STYLE}master-page"):
        for node in page:
            name = node.tag.removeprefix(STYLE).partition("-")[0]
            kind = name if name in {"header", "footer"} else node.get(f"{SHOW}class")
            if kind in {"header", "footer"} and node.get(f"{STYLE}display") != "false":
                yield kind == "header", node
    for kind in ("header", "footer"):
        for declared in root.iter(f"{SHOW}{kind}-decl"):
            holder = declared.makeelement(f"{TEXT}section", {})
            _add(holder, f"{TEXT}p", declared.text or "")
            yield kind == "header", holder
