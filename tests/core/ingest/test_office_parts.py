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


MATH = "http://schemas.openxmlformats.org/officeDocument/2006/math"


def part(name: str, *inside: str, properties: str = "") -> str:
    return f"<m:{name}>{properties}{''.join(inside)}</m:{name}>"


def sign(words: str) -> str:
    return part("r", f"<m:t>{words}</m:t>")


def bracketed(*inside: str, begin: str = "", end: str = "") -> str:
    marks = f'<m:begChr m:val="{begin}"/><m:endChr m:val="{end}"/>' if begin else ""
    return part("d", *(part("e", one) for one in inside), properties=f"<m:dPr>{marks}</m:dPr>")


def fraction(above: str, below: str, kind: str = "bar") -> str:
    return part("f", f'<m:fPr><m:type m:val="{kind}"/></m:fPr>', part("num", above), part("den", below))


@pytest.mark.parametrize(
    ("math", "text"),
    [
        ([sign("n") + bracketed(sign("n-1")) + sign("x")], "n(n-1)x"),
        ([bracketed(fraction(sign("n"), sign("k"), "noBar"))], "(n over k)"),
        ([bracketed(sign("x"), begin="|", end="|") + bracketed(sign("0,1"), begin="[", end="]")], "|x|[0,1]"),
        ([part("func", part("fName", sign("cos")), part("e", fraction(sign("nπx"), sign("L"))))], "cos(nπx/L)"),
        ([part("func", part("fName", sign("f")), part("e", bracketed(sign("x"))))], "f(x)"),
        ([fraction(sign("b"), sign("2a")), fraction(sign("V"), sign("T"))], "b/(2a); V/T"),
        ([part("sSup", part("e", bracketed(sign("x"))), part("sup", sign("2")))], "(x)^2"),
        ([part("sPre", part("sub", sign("8")), part("sup", sign("16")), part("e", sign("O")))], "_8^16O"),
        (
            [part("func", part("fName", part("limLow", part("e", sign("lim")), part("lim", sign("n→0")))))],
            "lim_(n→0)()",
        ),
        ([part("m", *(part("mr", part("e", sign(a)), part("e", sign(b))) for a, b in ("12", "34")))], "1, 2; 3, 4"),
    ],
)
def test_an_equation_means_on_one_line_what_it_means_in_word(tmp_path: Path, math: list[str], text: str) -> None:
    equations = "".join(part("oMath", one) for one in math)
    xml = f'<w:document xmlns:w="{WORD}" xmlns:m="{MATH}"><w:body><w:p>{equations}</w:p></w:body></w:document>'
    assert docx.read(docx_with(tmp_path / "a.docx", xml).read_bytes(), "a.docx", LIMIT).text == text


LATE = '<w:trPr><w:gridBefore w:val="{}"/></w:trPr>'
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
        ([cell("a") + cell("b"), LATE.format(1) + cell("b")], ["a | b", " | b"]),
        ([cell("a") + cell("b") + cell("c"), LATE.format(2) + cell("c")], ["a | b | c", " |  | c"]),
        (
            [LATE.format(1) + cell("Sum", properties=WIDE), cell("a") + cell("b") + cell("c")],
            [" | Sum | Sum", "a | b | c"],
        ),
    ],
    ids=["two lines", "across", "down", "empty", "late", "later", "late and wide"],
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


def deck_with(words: str) -> tuple[Any, Any]:
    show = Presentation()
    slide = show.slides.add_slide(show.slide_layouts[6])
    slide.shapes.add_textbox(0, 0, Inches(3), Inches(1)).text_frame.text = words
    return show, slide


def add_part(show: Any, of: Any, name: str, kind: str, xml: str) -> None:
    of.relate_to(Part(PackURI(name), "application/xml", show.part.package, xml.encode()), kind)


OLD = f'xmlns="{SLIDES}"'
NEW = f'xmlns="http://schemas.microsoft.com/office/powerpoint/2018/8/main" xmlns:a="{DRAWING}/main"'
SAID = "<txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></txBody>"


@pytest.mark.parametrize(
    ("authors", "comments", "lines"),
    [
        (
            f'<cmAuthorLst {OLD}><cmAuthor id="0" name="Ann"/></cmAuthorLst>',
            f'<cmLst {OLD}><cm authorId="0"><text>Check 12.</text></cm><cm authorId="7"><text>Why?</text></cm></cmLst>',
            ["[Comment by Ann: Check 12.]", "[Comment by unknown: Why?]"],
        ),
        (
            f'<authorLst {NEW}><author id="{{A}}" name="Bo"/></authorLst>',
            f'<cmLst {NEW}><cm authorId="{{A}}"><replyLst><reply authorId="{{A}}">{SAID.format("Done.")}'
            f"</reply></replyLst>"
            f"{SAID.format('Check 12.')}</cm></cmLst>",
            ["[Comment by Bo: Check 12.]", "[Comment by Bo: Done.]"],
        ),
        (f"<cmAuthorLst {OLD}/>", f'<cmLst {OLD}><cm authorId="0"><text> </text></cm></cmLst>', []),
    ],
    ids=["before 2018", "since 2018", "empty"],
)
def test_what_was_noted_on_a_slide_stands_behind_it(authors: str, comments: str, lines: list[str]) -> None:
    show, slide = deck_with("Fees.")
    add_part(
        show, show.part, "/ppt/authors.xml", f"{OFFICE}/{'authors' if NEW in authors else 'commentAuthors'}", authors
    )
    add_part(show, slide.part, "/ppt/comments/comment1.xml", f"{OFFICE}/comments", comments)
    assert pptx.read(saved(show), "a.pptx", LIMIT).text.split("\n\n") == ["Fees.", *lines]


UNKNOWN = '<p:sp><p:nvSpPr><p:cNvPr id="4" name="X"/><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr/>{}</p:sp>'
GROUP = '<p:grpSp><p:nvGrpSpPr><p:cNvPr id="5" name="G"/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>{}</p:grpSp>'
WORDS = "<p:txBody><a:bodyPr/><a:p><a:r><a:t>Closed.</a:t></a:r></a:p></p:txBody>"


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (UNKNOWN.format(""), "Fees."),
        (UNKNOWN.format(WORDS), "Fees.\n\nClosed."),
        (GROUP.format(UNKNOWN.format(WORDS)), "Fees.\n\nClosed."),
    ],
)
def test_a_shape_that_the_library_does_not_know_does_not_end_the_deck(shape: str, text: str) -> None:
    show, slide = deck_with("Fees.")
    names = f'<p:{shape[3:].partition(">")[0]} xmlns:p="{SLIDES}" xmlns:a="{DRAWING}/main">'
    slide.shapes._spTree.append(etree.fromstring((names + shape.partition(">")[2]).encode()))
    assert pptx.read(saved(show), "a.pptx", LIMIT).text == text
