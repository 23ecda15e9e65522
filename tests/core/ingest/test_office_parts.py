"""Parts of Word files and slides that stand beside plain paragraphs: marks, merged cells, margins, SmartArt, groups."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from documents import docx_with
from lxml import etree
from pptx import Presentation
from pptx.opc.package import Part
from pptx.opc.packuri import PackURI
from pptx.util import Inches

from memorag_core.ingest import docx, pptx

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SLIDES = "http://schemas.openxmlformats.org/presentationml/2006/main"
LIMIT = 10_000


def run(words: str, mark: str = "") -> str:
    properties = f'<w:rPr><w:vertAlign w:val="{mark}"/></w:rPr>' if mark else ""
    return f'<w:r>{properties}<w:t xml:space="preserve">{words}</w:t></w:r>'


def cell(*lines: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{''.join(f'<w:p>{run(line)}</w:p>' for line in lines or ('',))}</w:tc>"


def word_text(folder: Path, body: str) -> str:
    xml = f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'
    return docx.read(docx_with(folder / "a.docx", xml).read_bytes(), "a.docx", LIMIT).text


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        (run("3 × 10") + run("6", "superscript") + run(" litres"), "3 × 10^6 litres"),
        (run("in 1998") + run("4", "superscript") + run(", he said"), "in 1998[4], he said"),
        (run("25 m") + run("3", "superscript") + run(" of H") + run("2", "subscript") + run("O"), "25 m^3 of H_2O"),
        (run("10") + run("-", "superscript") + run("3", "superscript") + run(" bar"), "10^-3 bar"),
    ],
)
def test_raised_and_lowered_runs_of_word_are_written_so(tmp_path: Path, runs: str, text: str) -> None:
    assert word_text(tmp_path, f"<w:p>{runs}</w:p>") == text


WIDE, FIRST, NEXT = '<w:gridSpan w:val="2"/>', '<w:vMerge w:val="restart"/>', "<w:vMerge/>"


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ([cell("Brannay") + cell("7 m", "2 m")], ["Brannay | 7 m 2 m"]),
        ([cell("Both", properties=WIDE), cell("a") + cell("b")], ["Both | Both", "a | b"]),
        (
            [cell("North") + cell("Varga", properties=FIRST), cell("South") + cell(properties=NEXT)],
            ["North | Varga", "South | Varga"],
        ),
        ([cell("a") + cell() + cell("c"), cell() + cell("b") + cell()], ["a |  | c", " | b |"]),
    ],
    ids=["two lines", "across", "down", "empty"],
)
def test_each_row_of_a_word_table_is_a_line_with_merged_cells_repeated(
    tmp_path: Path, rows: Sequence[str], lines: list[str]
) -> None:
    table = "".join(f"<w:tr>{row}</w:tr>" for row in rows)
    found = word_text(tmp_path, f"<w:p>{run('Fleet')}</w:p><w:tbl>{table}</w:tbl>").splitlines()
    assert [line.rstrip() for line in found[2:]] == lines


def with_diagram(*nodes: Sequence[str]) -> bytes:
    """A deck of one slide with SmartArt, each node of which has some paragraphs of some runs."""
    show = Presentation()
    slide = show.slides.add_slide(show.slide_layouts[6])
    points = "".join(
        f"<d:pt><d:t>{''.join(f'<a:p><a:r><a:t>{line}</a:t></a:r></a:p>' for line in lines)}</d:t></d:pt>"
        for lines in nodes
    )
    names = f'xmlns:d="{DRAWING}/diagram" xmlns:a="{DRAWING}/main" xmlns:r="{OFFICE}" xmlns:p="{SLIDES}"'
    model = f"<d:dataModel {names}><d:ptLst>{points}<d:pt type='pres'/></d:ptLst></d:dataModel>"
    kind = "application/vnd.openxmlformats-officedocument.drawingml.diagramData+xml"
    part = Part(PackURI("/ppt/diagrams/data1.xml"), kind, show.part.package, model.encode())
    own = slide.part.relate_to(part, f"{OFFICE}/diagramData")
    frame = (
        f'<p:graphicFrame {names}><p:nvGraphicFramePr><p:cNvPr id="9" name="D"/><p:cNvGraphicFramePr/><p:nvPr/>'
        '</p:nvGraphicFramePr><p:xfrm><a:off x="0" y="0"/><a:ext cx="9" cy="9"/></p:xfrm><a:graphic>'
        f'<a:graphicData uri="{DRAWING}/diagram"><d:relIds r:dm="{own}"/></a:graphicData></a:graphic></p:graphicFrame>'
    )
    slide.shapes._spTree.append(etree.fromstring(frame.encode()))
    return saved(show)


def saved(show: Any) -> bytes:
    out = io.BytesIO()
    show.save(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("nodes", "lines"),
    [
        ([["Clerk checks"], ["Master signs"], ["Treasurer pays"]], ["Clerk checks", "Master signs", "Treasurer pays"]),
        ([["Pump", "stop it first"], ["Valve"]], ["Pump", "stop it first", "Valve"]),
        ([[""], ["Only one"], [" "]], ["Only one"]),
    ],
)
def test_the_nodes_of_smart_art_are_lines(nodes: list[list[str]], lines: list[str]) -> None:
    assert pptx.read(with_diagram(*nodes), "a.pptx", LIMIT).text.splitlines() == lines


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_what_is_in_groups_is_read_at_its_place(depth: int) -> None:
    show = Presentation()
    shapes = show.slides.add_slide(show.slide_layouts[6]).shapes
    shapes.add_textbox(0, Inches(5), Inches(3), Inches(1)).text_frame.text = "Last."
    for _ in range(depth):
        shapes = shapes.add_group_shape().shapes
    shapes.add_textbox(0, Inches(1), Inches(3), Inches(1)).text_frame.text = "First."
    assert pptx.read(saved(show), "a.pptx", LIMIT).text == "First.\n\nLast."
