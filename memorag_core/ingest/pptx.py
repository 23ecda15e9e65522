"""Presentations: each slide is a page, with its tables, charts, diagrams, pictures' texts and the speaker's notes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

from memorag_core.ingest.archive import open_archive
from memorag_core.ingest.extract import Extract, extract_pages
from memorag_core.ingest.marks import subscript, superscript
from memorag_core.ingest.xml_parts import parse_xml

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
RELATIONSHIPS = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"

OBJECTS, FILM = {7, 10}, 16
"""Kinds of shapes, as PowerPoint counts them: what other programs made, embedded or linked; sounds and films."""


def read(data: bytes, what: str, limit: int) -> Extract:
    """Read the text of a PPTX file; hidden slides are left out, and told."""
    from pptx import Presentation

    open_archive(data, what).close()
    show = Presentation(io.BytesIO(data))
    slides, authors = list(show.slides), _authors(show)
    hidden = [number for number, slide in enumerate(slides, 1) if _is_hidden(slide)]
    text, pages = extract_pages(
        ("" if _is_hidden(slide) else _text_of(slide, authors) for slide in slides), what, limit
    )
    told = [f"hidden slides ({', '.join(map(str, hidden))})"] if hidden else []
    told += [f"{name} ({number:,})" for name, number in _count_beside(slides).items() if number]
    return Extract(text, pages=pages, notice=f"Left out: {', '.join(told)}." if told else "")


def _count_beside(slides: Iterable[Any]) -> dict[str, int]:
    """Count what slides show that is no text of theirs."""
    kinds = [_kind(shape) for slide in slides if not _is_hidden(slide) for shape in _all(slide.shapes)]
    return {"embedded objects": sum(kind in OBJECTS for kind in kinds), "sounds and films": kinds.count(FILM)}


def _all(shapes: Iterable[Any]) -> Iterator[Any]:
    for shape in shapes:
        yield shape
        yield from _all(getattr(shape, "shapes", ()))


def _is_hidden(slide: Any) -> bool:
    return slide._element.get("show") in {"0", "false"}


def _text_of(slide: Any, authors: dict[str, str]) -> str:
    texts = [text.replace("\v", "\n").strip() for text in _texts(slide.shapes)]
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = _words(slide.notes_slide.notes_text_frame).strip()
        texts.append(f"Notes: {notes}" if notes else "")
    texts += _comments(slide, authors)
    return "\n\n".join(filter(None, texts))


def _texts(shapes: Iterable[Any]) -> Iterator[str]:
    """The text of each shape as a reader meets them: the title, then from top to bottom and left to right."""
    for shape in sorted(shapes, key=_place):
        if shape.has_text_frame:
            yield _words(shape.text_frame)
        if shape.has_table:
            yield "\n".join(" | ".join(_cell(shape.table, cell) for cell in row.cells) for row in shape.table.rows)
        if getattr(shape, "has_chart", False):
            yield _chart(shape.chart)
        yield _diagram(shape)
        yield _alt_text(shape)
        yield from _texts(getattr(shape, "shapes", ()))  # a group


def _place(shape: Any) -> tuple[bool, int, int]:
    is_title = shape.is_placeholder and shape.placeholder_format.type in {1, 3}
    if _kind(shape) == 6:  # a group may tell no place but that of what is in it
        places = [_place(inner) for inner in shape.shapes]
        return min(places) if places else (True, 0, 0)
    return not is_title, shape.top or 0, shape.left or 0


def _words(frame: Any) -> str:
    """The paragraphs of a frame, with what is raised or lowered written so."""
    return "\n".join(_line(paragraph) for paragraph in frame.paragraphs)


def _line(paragraph: Any) -> str:
    out = ""
    for node in paragraph._p:
        if node.tag == f"{A}br":
            out += "\n"
        words = "".join(part.text or "" for part in node.iter(f"{A}t"))
        properties = node.find(f"{A}rPr")
        baseline = 0 if properties is None else int((properties.get("baseline") or "0").rstrip("%") or 0)
        if properties is not None and (properties.get("strike") or "noStrike") != "noStrike":
            continue
        out += superscript(out, words) if baseline > 0 else subscript(words) if baseline < 0 else words
    return out


def _cell(table: Any, cell: Any) -> str:
    """The words of a cell on one line; where cells are merged, those of the first, in each."""
    if cell.is_spanned:
        cells = {(r, c): table.cell(r, c) for r in range(len(table.rows)) for c in range(len(table.columns))}
        row, column = next(place for place, other in cells.items() if other._tc is cell._tc)
        for (r, c), origin in cells.items():
            reach = (r + origin.span_height, c + origin.span_width) if origin.is_merge_origin else (r, c)
            if r <= row < reach[0] and c <= column < reach[1]:
                return _cell(table, origin)
    return " ".join(_words(cell.text_frame).split())


def _chart(chart: Any) -> str:
    """The title of a chart of any kind, and its values as a table with a row for each category."""
    title = chart.chart_title.text_frame.text if chart.has_title and chart.chart_title.has_text_frame else "Chart"
    series = list(chart._chartSpace.iter(f"{CHART}ser"))
    names = [" ".join(_points(one, "tx").values()) for one in series]
    categories = next((found for one in series if (found := _points(one, "cat", "xVal"))), {})
    columns = [_points(one, "val", "yVal") for one in series]
    numbers = sorted(set(categories).union(*columns))
    rows = [[categories.get(n, str(n + 1)), *(column.get(n, "") for column in columns)] for n in numbers]
    return "\n".join([title, *(" | ".join(row) for row in [["", *names], *rows])])


def _points(series: Any, *names: str) -> dict[int, str]:
    """The values under one of some elements of a series, by their number."""
    holder = next((found for name in names if (found := series.find(f"{CHART}{name}")) is not None), None)
    points = () if holder is None else holder.iter(f"{CHART}pt")
    return {int(point.get("idx", 0)): point.findtext(f"{CHART}v") or "" for point in points}


def _diagram(shape: Any) -> str:
    """The words of the nodes of SmartArt, a line for each of their paragraphs."""
    ids = next(shape._element.iter(f"{DIAGRAM}relIds"), None)
    if ids is None:
        return ""
    root = parse_xml(shape.part.related_part(ids.get(f"{RELATIONSHIPS}dm")).blob)
    paragraphs = (paragraph for node in root.iter(f"{DIAGRAM}pt") for paragraph in node.iter(f"{A}p"))
    lines = ("".join(text.text or "" for text in paragraph.iter(f"{A}t")).strip() for paragraph in paragraphs)
    return "\n".join(filter(None, lines))


def _alt_text(shape: Any) -> str:
    properties = next(shape._element.iter("{*}cNvPr"), None)
    words = "" if properties is None else (properties.get("descr") or "").strip()
    return f"[Image: {words}]" if words and _kind(shape) == 13 else ""


def _kind(shape: Any) -> int | None:
    """Tell what a shape is; nothing where its program wrote one that the library does not know."""
    try:
        kind: int | None = shape.shape_type
    except NotImplementedError:
        return None
    return kind


def _authors(show: Any) -> dict[str, str]:
    """The names of those who commented, by their numbers."""
    roots = (parse_xml(part.blob) for kind, part in _related(show.part) if kind in {"commentAuthors", "authors"})
    return {node.get("id", ""): node.get("name") for root in roots for node in root if node.get("name")}


def _comments(slide: Any, authors: dict[str, str]) -> Iterator[str]:
    """What was noted on a slide, in the order of its file: comments, and the answers to them."""
    for kind, part in _related(slide.part):
        for node in parse_xml(part.blob).iter("{*}cm", "{*}reply") if kind == "comments" else ():
            body = node.find("{*}text") if node.find("{*}txBody") is None else node.find("{*}txBody")
            words = "" if body is None else " ".join(" ".join(body.itertext()).split())
            if words:
                yield f"[Comment by {authors.get(node.get('authorId'), 'unknown')}: {words}]"


def _related(part: Any) -> list[tuple[str, Any]]:
    """The files that a part names inside of its own, with what they are to it."""
    return [(rel.reltype.rpartition("/")[2], rel.target_part) for rel in part.rels.values() if not rel.is_external]
