"""Workbooks, RTF, OpenDocument, archives and sources are read to their text; what is not read is told."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import date

import pytest
from openpyxl import Workbook
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment

from memorag_core.errors import InputError
from memorag_core.ingest import plain, tables
from memorag_core.ingest.extract import Extract
from memorag_core.ingest.formats import FORMATS

NAMES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name if name != "draw" else "drawing"}:1.0"'
    for name in ("office", "text", "table", "style", "draw")
)


def read(name: str, data: bytes) -> Extract:
    return FORMATS[f".{name.rpartition('.')[2]}"].read(data, name, 10_000)


def zip_of(**members: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return data.getvalue()


def open_document(body: str, styles: str = "", kind: str = "text") -> bytes:
    content = f"<office:document-content {NAMES}>{styles}<office:body>{body}</office:body></office:document-content>"
    mimetype = f"application/vnd.oasis.opendocument.{kind}"
    manifest = b"<m:manifest xmlns:m='urn:oasis:names:tc:opendocument:xmlns:manifest:1.0'/>"
    return zip_of(mimetype=mimetype.encode(), content_xml=content.encode(), **{"META-INF/manifest_xml": manifest})


def test_a_workbook_has_a_line_for_each_row_with_empty_cells_visible_and_hidden_sheets_told() -> None:
    book = Workbook()
    for row in (["Vessel", "Built", "Sold"], ["Alba", 1988, None], [None, 0.1, date(2031, 6, 30)], ["Brit", True, "x"]):
        book.worksheets[0].append(row)
    book.worksheets[0].title = "Fleet"
    book.create_sheet("Old").append(["secret"])
    book["Old"].sheet_state = "hidden"
    book.create_sheet("Fees").append(["A night", 12.5])
    data = io.BytesIO()
    book.save(data)
    found = read("fleet.xlsx", data.getvalue())
    table = "Vessel | Built | Sold\nAlba | 1988 |\n | 0.1 | 2031-06-30\nBrit | TRUE | x"
    assert found.text == f"# Fleet\n\n{table}\n\n# Fees\n\nA night | 12.5"
    assert found.pages == (0, found.text.index("# Fees"))
    assert (found.title, found.notice) == ("fleet", "Left out: hidden sheets (Old).")


def test_the_sheet_of_an_open_workbook_is_read() -> None:
    cells = ('office:value-type="string"><text:p>Alba</text:p>', 'office:value-type="float" office:value="7">')
    rows = "".join(f"<table:table-row><table:table-cell {cell}</table:table-cell></table:table-row>" for cell in cells)
    body = f"<office:spreadsheet><table:table table:name='A'>{rows}</table:table></office:spreadsheet>"
    assert read("a.ods", open_document(body, kind="spreadsheet")).text == "Alba\n7"


def test_an_open_text_is_read_in_order_and_its_deletions_told() -> None:
    raised = '<style:style style:name="T1"><style:text-properties style:text-position="super 58%"/></style:style>'
    body = (
        "<office:text><text:tracked-changes><text:changed-region><text:deletion><text:p>gone</text:p></text:deletion>"
        '</text:changed-region></text:tracked-changes><text:h text:outline-level="2">Mill</text:h><text:p>It holds 10'
        '<text:span text:style-name="T1">6</text:span> l<text:note><text:note-body><text:p>So he says.</text:p>'
        "</text:note-body></text:note>.</text:p><text:list><text:list-item><text:p>Horn</text:p></text:list-item>"
        "</text:list><table:table><table:table-row><table:table-cell/>"
        '<table:table-cell table:number-columns-repeated="2">'
        "<text:p>x</text:p></table:table-cell></table:table-row></table:table></office:text>"
    )
    found = read("a.odt", open_document(body, f"<office:automatic-styles>{raised}</office:automatic-styles>"))
    assert found.text == "## Mill\n\nIt holds 10^6 l[So he says.].\n\n- Horn\n\n | x | x"
    assert found.notice == "Left out: tracked deletions (1)."


STRUCK = '<style:style style:name="S"><style:text-properties style:text-line-through-style="solid"/></style:style>'
RAISED = '<style:style style:name="R"><style:text-properties style:text-position="33% 58%"/></style:style>'


@pytest.mark.parametrize(
    ("body", "text", "notice"),
    [
        ('x<text:span text:style-name="R">2</text:span>', "x^2", ""),
        ('<text:span>x<text:span><text:span text:style-name="R">2</text:span></text:span></text:span>', "x^2", ""),
        ('In 1998<text:span><text:span text:style-name="R">4</text:span></text:span>.', "In 1998[4].", ""),
        ('12 <text:span text:style-name="S">9</text:span>a night', "12 a night", "Left out: struck parts (1)."),
        (
            '12<text:span text:style-name="S"> <text:span>9</text:span> </text:span>',
            "12",
            "Left out: struck parts (1).",
        ),
    ],
)
def test_marks_and_struck_words_of_an_open_text_are_read_through_spans(body: str, text: str, notice: str) -> None:
    styles = f"<office:automatic-styles>{STRUCK}{RAISED}</office:automatic-styles>"
    found = read("a.odt", open_document(f"<office:text><text:p>{body}</text:p></office:text>", styles))
    assert (found.text, found.notice) == (text, notice)


def open_cell(words: str = "", span: str = "") -> str:
    return f"<table:table-cell {span}><text:p>{words}</text:p></table:table-cell>"


COVERED = "<table:covered-table-cell/>"
ACROSS, DOWN = (f'table:number-{way}-spanned="2"' for way in ("columns", "rows"))


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ([open_cell("Both", ACROSS) + COVERED, open_cell("a") + open_cell("b")], ["Both | Both", "a | b"]),
        ([open_cell("N") + open_cell("Varga", DOWN), open_cell("S") + COVERED], ["N | Varga", "S | Varga"]),
        (
            [
                open_cell("All", f"{ACROSS} {DOWN}") + COVERED + open_cell("x"),
                COVERED * 2 + open_cell("y"),
                open_cell("a") + open_cell() + open_cell("z"),
            ],
            ["All | All | x", "All | All | y", "a |  | z"],
        ),
    ],
    ids=["across", "down", "both"],
)
def test_a_merged_cell_of_an_open_text_stands_wherever_it_reaches(rows: list[str], lines: list[str]) -> None:
    table = "".join(f"<table:table-row>{row}</table:table-row>" for row in rows)
    body = f"<office:text><table:table>{table}</table:table></office:text>"
    assert read("a.odt", open_document(body)).text.splitlines() == lines


@pytest.mark.parametrize(
    ("items", "text"), [(["12"], "12"), (["-12"], "-12"), (["12", "7"], "- 12 - 7")], ids=["one", "negative", "two"]
)
def test_the_dash_of_a_list_in_a_cell_is_no_minus(items: list[str], text: str) -> None:
    inside = "".join(f"<text:list-item><text:p>{item}</text:p></text:list-item>" for item in items)
    row = f"<table:table-row><table:table-cell><text:list>{inside}</text:list></table:table-cell></table:table-row>"
    body = f"<office:text><table:table>{row}</table:table></office:text>"
    assert read("a.odt", open_document(body)).text == text


def test_what_stands_beside_the_cells_of_a_workbook_is_below_its_sheet() -> None:
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.append(["Vessel", 3])
    for place, words in (("A1", "Check\nit."), ("B1", "Three of four.")):
        sheet[place].comment = Comment(words, "Ann")
    chart = BarChart()
    chart.title = "Vessels a year"
    chart.add_data(Reference(sheet, min_col=2, min_row=1, max_row=1))
    sheet.add_chart(chart, "D1")
    book.create_sheet("More").append(["x"])
    data = io.BytesIO()
    book.save(data)
    found = read("a.xlsx", _with_box(data.getvalue(), "Sold in 2031"))
    lines = found.text.splitlines()
    above = lines[: lines.index("# More")]
    assert "Vessel | 3" in above
    for line in ("[Comment by Ann on A1: Check it.]", "[Comment by Ann on B1: Three of four.]"):
        assert line in above
    assert ("[Chart: Vessels a year]" in above, "Sold in 2031" in above) == (True, True)
    assert found.notice == "Left out: charts (1)."


def _with_box(workbook: bytes, words: str) -> bytes:
    """A workbook with a text box in its drawing, which openpyxl cannot write."""
    name, out = "xl/drawings/drawing1.xml", io.BytesIO()
    box = (
        '<oneCellAnchor><sp xmlns="http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing"><txBody><a:p '
        f'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><a:r><a:t>{words}</a:t></a:r></a:p></txBody></sp>'
        "</oneCellAnchor></wsDr>"
    )
    with zipfile.ZipFile(io.BytesIO(workbook)) as archive, zipfile.ZipFile(out, "w") as copy:
        for member in archive.namelist():
            part = archive.read(member)
            copy.writestr(member, part.replace(b"</wsDr>", box.encode()) if member == name else part)
    return out.getvalue()


def test_threads_of_comments_are_read_instead_of_what_older_programs_are_told() -> None:
    data = io.BytesIO()
    book = Workbook()
    book.worksheets[0].append(["Vessel"])
    book.worksheets[0]["A1"].comment = Comment("[Threaded comment] Your version of Excel", "tc")
    book.save(data)
    thread = '<ThreadedComments xmlns="http://schemas.microsoft.com/office/spreadsheetml/2018/threadedcomments">'
    thread += '<threadedComment ref="A1"><text>Which one?</text></threadedComment></ThreadedComments>'
    out, rels = io.BytesIO(), "xl/worksheets/_rels/sheet1.xml.rels"
    with zipfile.ZipFile(data) as archive, zipfile.ZipFile(out, "w") as copy:
        for member in archive.namelist():
            part = archive.read(member)
            relation = (
                b'<Relationship Id="t1" Type="x/threadedComment" Target="/xl/threadedComments/t.xml"/></Relationships>'
            )
            copy.writestr(member, part.replace(b"</Relationships>", relation) if member == rels else part)
        copy.writestr("xl/threadedComments/t.xml", thread)
    assert read("a.xlsx", out.getvalue()).text.splitlines() == ["Vessel", "", "[Comment on A1: Which one?]"]


def _with_parts(workbook: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """A workbook with its parts in XML changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as archive, zipfile.ZipFile(out, "w") as copy:
        for member in archive.namelist():
            copy.writestr(member, change(archive.read(member)))
    return out.getvalue()


def _commented() -> bytes:
    data, book = io.BytesIO(), Workbook()
    book.worksheets[0].append(["Vessel"])
    book.worksheets[0]["A1"].comment = Comment("Check it.", "Ann")
    book.save(data)
    return data.getvalue()


def test_comments_of_a_strict_workbook_are_read() -> None:
    usual = b"http://schemas.openxmlformats.org/", b"officeDocument/2006/relationships", b"spreadsheetml/2006/main"
    strict = b"http://purl.oclc.org/ooxml/", b"officeDocument/relationships", b"spreadsheetml/main"

    def change(part: bytes) -> bytes:
        for words, other in zip(usual[1:], strict[1:], strict=True):
            part = part.replace(usual[0] + words, strict[0] + other)
        return part

    found = read("a.xlsx", _with_parts(_commented(), change))
    assert found.text.splitlines() == ["Vessel", "", "[Comment by Ann on A1: Check it.]"]


def test_what_older_programs_show_instead_of_a_shape_is_not_read() -> None:
    book, data = Workbook(), io.BytesIO()
    sheet = book.worksheets[0]
    sheet.append(["Vessel", 3])
    chart = BarChart()
    chart.add_data(Reference(sheet, min_col=2, min_row=1, max_row=1))
    sheet.add_chart(chart, "D1")
    book.save(data)
    old = b'<m:Fallback xmlns:m="http://schemas.openxmlformats.org/markup-compatibility/2006"><oneCellAnchor>'
    shape = _with_box(data.getvalue(), "This shape is a slicer")
    hidden = _with_parts(shape, lambda part: part.replace(b"<oneCellAnchor><sp", old + b"<sp"))
    hidden = _with_parts(
        hidden, lambda part: part.replace(b"</sp></oneCellAnchor>", b"</sp></oneCellAnchor></m:Fallback>")
    )
    assert "slicer" in read("a.xlsx", shape).text
    assert "slicer" not in read("a.xlsx", hidden).text


def test_cells_are_read_where_the_archive_is_damaged_beside_them() -> None:
    data = _commented()
    at = data.index(b"xl/comments/comment1.xml") + len("xl/comments/comment1.xml") + 10
    found = read("a.xlsx", data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
    assert found.text == "Vessel"
    assert found.notice.startswith("Left out: comments and text boxes, which are damaged (")


def test_text_boxes_of_an_open_workbook_are_read() -> None:
    draw = "urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"
    box = f'<d:frame xmlns:d="{draw}"><d:text-box><text:p>Sold in 2031</text:p></d:text-box></d:frame>'
    cell = '<table:table-cell office:value-type="string"><text:p>Vessel</text:p></table:table-cell>'
    rows = f"<table:shapes>{box}</table:shapes><table:table-row>{cell}</table:table-row>"
    body = f'<office:spreadsheet><table:table table:name="Fleet">{rows}</table:table></office:spreadsheet>'
    assert read("a.ods", open_document(body, kind="spreadsheet")).text.splitlines() == ["Vessel", "", "Sold in 2031"]


def test_names_that_python_takes_from_where_an_archive_says_them_again_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, again = "报告.txt".encode("gbk"), "报告.txt"
    data = zip_of(**{f"{'a' * (len(plain) - 4)}_txt": b"Text."}).replace(b"aaaa.txt", plain)
    entries = zipfile.ZipFile.infolist

    def infolist(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
        found = entries(archive)
        for entry in found:
            entry.filename = again  # as Python 3.12 does
        return found

    monkeypatch.setattr(zipfile.ZipFile, "infolist", infolist)
    assert read("all.zip", data).text.splitlines()[0] == f"# {again}"


def test_comments_of_an_open_workbook_are_read() -> None:
    cell = "<office:annotation><text:p>Check it.</text:p></office:annotation><text:p>Vessel</text:p>"
    row = f'<table:table-row><table:table-cell office:value-type="string">{cell}</table:table-cell></table:table-row>'
    body = f'<office:spreadsheet><table:table table:name="Fleet">{row}</table:table></office:spreadsheet>'
    found = read("a.ods", open_document(body, kind="spreadsheet"))
    assert found.text.splitlines() == ["Vessel", "", "[Comment: Check it.]"]


def test_each_slide_of_an_open_presentation_is_a_page() -> None:
    slides = "".join(f"<draw:page><text:p>Slide {n}</text:p></draw:page>" for n in (1, 2))
    assert read("a.odp", open_document(f"<office:presentation>{slides}</office:presentation>")).pages == (0, 9)


def test_an_archive_is_its_documents_and_one_that_is_broken_or_of_no_kind_is_told() -> None:
    found = read("all.zip", zip_of(b_md=b"Two.", a_csv=b"A,B\n1,2\n", c_pdf=b"junk", d_exe=b"x", inner_zip=b"PK"))
    assert found.text == "# a.csv\n\nA | B\n1 | 2\n\n# b.md\n\nTwo."
    assert found.notice.startswith("Not read: c.pdf is damaged")
    assert found.notice.endswith(
        "Not read: d.exe (no format that is read). Not read: inner.zip (no format that is read)."
    )


@pytest.mark.parametrize(
    ("name", "shown"), [("../../up.txt", "../../up.txt"), ("./a/b.txt", "a/b.txt"), ("/abs.txt", "/abs.txt")]
)
def test_members_of_an_archive_are_read_wherever_their_names_point(name: str, shown: str) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(name, "Text.")
    assert read("a.zip", data.getvalue()).text == f"# {shown}\n\nText."


@pytest.mark.parametrize("name", ["Köln.txt", "файл.txt", "水门.txt"])
def test_names_in_an_archive_are_utf8_also_where_it_does_not_say_so(name: str) -> None:
    stand_in = "X" * len(name.encode())
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(f"{stand_in}.txt", "Text.")
    assert read("a.zip", data.getvalue().replace(stand_in.encode(), name.encode())).text == f"# {name}.txt\n\nText."


@pytest.mark.parametrize("text", ['a,"' + "x" * 200_000 + '",c', "x" * 200_000 + ";b", '"' + "a,b\n" * 50_000])
def test_a_cell_of_a_table_may_hold_a_whole_text(text: str) -> None:
    assert len(tables.read(text.encode(), "a.csv", 1_000_000).text) > 150_000


@pytest.mark.parametrize("name", ["a.ppt", "a.txt", "a.md", "a.doc"])
def test_a_file_of_an_old_office_program_is_told_as_such(name: str) -> None:
    with pytest.raises(InputError, match="old Office format"):
        plain.read(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), name, 10_000)


@pytest.mark.parametrize("kind", ["xlsx", "ods", "odt", "zip"])
def test_an_archive_that_unpacks_to_far_more_than_it_is_is_refused(kind: str) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("content.xml", bytes(64 << 20))
    with pytest.raises(InputError, match="made to do harm"):
        read(f"a.{kind}", data.getvalue())


@pytest.mark.parametrize("name", ["a.tex", "a.org", "a.adoc", "a.rst", "a.py"])
def test_what_is_written_as_plain_text_is_read_as_it_is(name: str) -> None:
    assert read(name, b"x = 10**6  # a b").text == "x = 10**6  # a b"


@pytest.mark.parametrize(
    ("encoding", "names", "notice"),
    [
        ("gbk", ["报告.txt", "会议记录.txt"], "Names of its files were read as gb18030, a guess."),
        ("big5", ["報告書.txt", "會議記錄.txt"], "Names of its files were read as big5, a guess."),
        ("cp932", ["報告書です.txt", "議事録メモ.txt"], "Names of its files were read as cp932, a guess."),
        ("cp866", ["отчет за год.txt", "письмо.txt"], "Names of its files were read as cp866, a guess."),
        ("cp437", ["Café.txt", "Übersicht.txt"], ""),
        ("cp850", ["São Paulo.txt", "Overføring på blå.txt"], ""),
        ("utf-8", ["Ä.txt", "übersicht.txt"], ""),
    ],
)
def test_names_in_an_archive_are_read_as_the_system_that_made_it_wrote_them(
    encoding: str, names: list[str], notice: str
) -> None:
    written = [name.encode(encoding) for name in names]
    stand_ins = [bytes([97 + number]) * len(name) for number, name in enumerate(written)]
    data = zip_of(**{f"{stand_in[:-4].decode()}_txt": b"Text." for stand_in in stand_ins})
    for stand_in, name in zip(stand_ins, written, strict=True):
        data = data.replace(stand_in[:-4] + b".txt", name)
    found = read("all.zip", data)
    assert {line[2:] for line in found.text.splitlines() if line.startswith("# ")} == set(names)
    assert found.notice == notice


def test_cells_are_read_where_what_stands_beside_them_is_damaged() -> None:
    data, out = io.BytesIO(), io.BytesIO()
    book = Workbook()
    book.worksheets[0].append(["Vessel"])
    book.worksheets[0]["A1"].comment = Comment("Check it.", "Ann")
    book.save(data)
    with zipfile.ZipFile(data) as archive, zipfile.ZipFile(out, "w") as copy:
        for member in archive.namelist():
            copy.writestr(member, b"<junk" if "comment" in member and member.endswith(".xml") else archive.read(member))
    found = read("a.xlsx", out.getvalue())
    assert found.text == "Vessel"
    assert found.notice.startswith("Left out: comments and text boxes, which are damaged (")
