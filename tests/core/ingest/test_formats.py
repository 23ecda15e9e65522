"""Each format is read to its text, with its pages; files made to do harm are refused."""

from __future__ import annotations

import os
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from documents import (
    chapter,
    docx_with,
    pdf_of,
    picture,
    write_deck,
    write_docx,
    write_docx_with_margins,
    write_epub,
    write_numbered_docx,
    write_pdf,
    write_pptx,
    write_zip,
)

from memorag_core import Document, from_path
from memorag_core.concurrency.cancellation import cancellable
from memorag_core.concurrency.processes import Launch
from memorag_core.errors import Cancelled, InputError
from memorag_core.ingest.archive import MAX_ENTRIES, open_archive
from memorag_core.ingest.html import reflow
from memorag_core.ingest.pdf import mend_words
from memorag_core.ingest.pdf import read as read_pdf
from memorag_core.ingest.sandbox import SandboxedReader
from memorag_core.text.pages import join_pages, page_of

LIMIT = 1_000_000
Read = Callable[[Path], Document]
LONG = (
    "The mill stands at the head of the pond, and its gates were hung in May of the year nineteen hundred and "
    "sixty-three by men of the town, who had the timber brought from Ardmouth. Amos kept the gate book every day."
)
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
HTML = """<!doctype html><html><head><title>The Mill</title><style>p {}</style><script>alert(1)</script></head><body>
<h1>Report</h1><p>One <b>two</b>
  three&nbsp;four &amp; five.<br>Six.</p><!-- hidden --><ul><li>Horn<li><p>Pin</p></ul>
<table><tr><th>Pin</th><th>Weight</th></tr><tr><td>A</td><td>14</td></tr></table><pre>a
  b</pre>tail<img alt="no" src="x.png"></body></html>"""


@pytest.fixture(scope="module")
def apart() -> Iterator[SandboxedReader]:
    """One reader for all tests, as for all files of a folder."""
    with SandboxedReader() as reader:
        yield reader


@pytest.fixture
def read(apart: SandboxedReader, monkeypatch: pytest.MonkeyPatch) -> Read:
    """The document in a file, read by that one process."""
    monkeypatch.setattr("memorag_core.ingest.documents.SandboxedReader", lambda on_step: nullcontext(apart))
    return lambda path: from_path(path, LIMIT)[0]


def texts(document: Document) -> list[str]:
    """The text of each page."""
    ends = [*document.pages[1:], len(document.text)]
    return [document.text[start:end].strip() for start, end in zip(document.pages, ends, strict=True)]


def test_joined_pages_say_where_each_begins_and_every_offset_is_on_its_page() -> None:
    pages = ["one", "", "three", "", ""]
    text, starts = join_pages(pages)
    assert text == "one\n\nthree"
    assert starts == (0, 5, 5, 12, 12)
    assert [page_of(starts, at) for at in (0, 2, 5, 9)] == [1, 1, 3, 3]
    assert page_of((), 5) is None


def test_pages_survive_the_round_trip_of_text() -> None:
    pages = [f"Page {number} has words." for number in range(1, 50)]
    text, starts = join_pages(pages)
    for number, page in enumerate(pages, 1):
        at = text.index(page)
        assert {page_of(starts, at), page_of(starts, at + len(page) - 1)} == {number}


def test_a_pdf_is_read_with_its_pages_and_its_paragraphs_whole(read: Read, tmp_path: Path) -> None:
    document = read(write_pdf(tmp_path / "mill.pdf", [f"Chapter 1\n{LONG}\n\nA short end.\n- one\n- two", LONG]))
    assert texts(document) == [f"Chapter 1\n{LONG}\nA short end.\n- one\n- two", LONG]
    assert (document.id, document.title, document.notice) == ("mill", "mill", "")


def test_a_docx_is_read_in_order_with_headings_lists_and_tables(read: Read, tmp_path: Path) -> None:
    document = read(write_docx(tmp_path / "mill.docx"))
    assert document.text == (
        "# Report upon the Mill\n\nThe gates were hung in May 1963\n\n- A horn\n\nPins | 14 pounds\n\n"
        "The end & the signature."
    )
    assert (document.title, document.pages) == ("Report upon the Mill", ())


SHAPES = (
    f'xmlns:w="{WORD}" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" xmlns:v="urn:schemas-microsoft-com:vml"'
)
BOX = "<w:txbxContent><w:p><w:r><w:t>Boxed.</w:t></w:r></w:p></w:txbxContent>"


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (f"<w:r><w:t>A</w:t></w:r><w:r><w:drawing>{BOX}</w:drawing></w:r>", "A\n\nBoxed."),
        (f"<w:r><w:t>A</w:t></w:r><w:r><w:pict><v:shape>{BOX}</v:shape></w:pict></w:r>", "A\n\nBoxed."),
        (
            "<w:r><w:t>A</w:t></w:r><w:r><mc:AlternateContent><mc:Choice Requires='wps'><w:drawing>"
            f"{BOX}</w:drawing></mc:Choice><mc:Fallback><w:pict>{BOX}</w:pict></mc:Fallback></mc:AlternateContent></w:r>",
            "A\n\nBoxed.",
        ),
        ("<w:r><w:t>B</w:t></w:r><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>", "B"),
        ("<w:r><w:t>B</w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>", "B"),
        (
            "<m:oMath><m:sSup><m:e><m:r><m:t>x</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup></m:oMath>",
            "x^2",
        ),
        (
            "<m:oMathPara><m:oMath><m:rad><m:e><m:f><m:num><m:r><m:t>a+b</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t>"
            "</m:r></m:den></m:f></m:e></m:rad></m:oMath></m:oMathPara>",
            "√((a+b)/2)",
        ),
    ],
)
def test_boxes_equations_and_hidden_words_of_a_docx_are_read_or_told(
    read: Read, tmp_path: Path, inside: str, text: str
) -> None:
    xml = f"<w:document {SHAPES}><w:body><w:p>{inside}</w:p></w:body></w:document>"
    document = read(docx_with(tmp_path / "a.docx", xml))
    assert document.text == text
    assert bool(document.notice) == ("hidden" in inside or "gone" in inside)


def test_headers_footers_and_comments_of_a_docx_are_read_once(read: Read, tmp_path: Path) -> None:
    document = read(write_docx_with_margins(tmp_path / "a.docx"))
    assert document.text == "Contract KX-4471\n\nText 10^6, 1998[4].\n\nPage of 2031\n\n[Comment by Bo: Check 12.]"


@pytest.mark.parametrize(
    ("form", "pattern", "labels"),
    [
        ("decimal", "%1.%2", ["1.", "1.1", "1.2", "2.", "2.1"]),
        ("lowerLetter", "(%2)", ["1.", "(a)", "(b)", "2.", "(a)"]),
        ("upperRoman", "Art. %1-%2", ["1.", "Art. 1-I", "Art. 1-II", "2.", "Art. 2-I"]),
        ("decimalZero", "§ %2", ["1.", "§ 01", "§ 02", "2.", "§ 01"]),
    ],
)
def test_numbers_that_word_computes_stand_before_their_clauses(
    read: Read, tmp_path: Path, form: str, pattern: str, labels: list[str]
) -> None:
    document = read(write_numbered_docx(tmp_path / "a.docx", form, pattern))
    assert document.text.split("\n\n") == [f"{label} Clause" for label in labels]


def test_a_pptx_has_a_page_for_each_slide_with_tables_and_notes(read: Read, tmp_path: Path) -> None:
    document = read(write_pptx(tmp_path / "mill.pptx", ["The Mill\nIt stands.\nStill.", "The Pond\nIt is deep."]))
    assert texts(document) == [
        "The Mill\n\nIt stands.\nStill.",
        "The Pond\n\nPins | 14 pounds\n\nIt is deep.\n\nNotes: Speak slowly.",
    ]


def test_charts_merged_cells_order_and_marks_of_slides_are_read_and_hidden_slides_told(
    read: Read, tmp_path: Path
) -> None:
    document = read(write_deck(tmp_path / "deck.pptx"))
    assert texts(document) == [
        "Step 1.\n\nStep 2.\n\n2 × 10^5, 1998[4]",
        "",
        "Grain\n | Orsk | Alba\n2021 | 410 | 1\n2022 | 388.5 | 2\n\nNorth | Varga\nSouth | Varga",
    ]
    assert document.notice == "Left out: hidden slides (2)."


def test_an_epub_has_a_page_for_each_chapter_in_reading_order(read: Read, tmp_path: Path) -> None:
    chapters = [chapter("In the beginning, caf&eacute;."), chapter("The middle."), chapter("The end.")]
    document = read(write_epub(tmp_path / "mill.epub", chapters))
    assert texts(document) == ["In the beginning, café.", "The middle.", "The end."]
    assert (document.id, document.title) == ("mill", "The Mill & the Pond")


def test_html_becomes_text_as_markdown_writes_it(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "mill.html"
    path.write_text(HTML, encoding="utf-8")
    document = read(path)
    assert document.text == (
        "# Report\n\nOne two three four & five.\nSix.\n\n- Horn\n- Pin\n\nPin | Weight\nA | 14\n\na\n  b\n\n"
        "tail[Image: no]"
    )
    assert (document.title, document.notice) == ("The Mill", "")


@pytest.mark.parametrize(("head", "guess"), [('<meta charset="windows-1252">', ""), ("", "read as cp1252, a guess")])
def test_the_encoding_of_html_is_what_it_declares_else_a_guess_that_is_told(
    read: Read, tmp_path: Path, head: str, guess: str
) -> None:
    path = tmp_path / "a.html"
    path.write_bytes(f"<html><head>{head}</head><p>Un café noir, déjà préparé.".encode("cp1252"))
    document = read(path)
    assert document.text == "Un café noir, déjà préparé."
    assert guess in document.notice


@pytest.mark.parametrize(
    ("declared", "encoding", "words"),
    [
        ("iso-8859-1", "cp1252", "“L’auberge” – 40 €"),
        ("iso-8859-9", "cp1254", "Şükrü Işık’ın"),
        ("windows-874", "cp874", "ท่าเรือเงียบ"),
        ("big5", "big5hkscs", "港口嘅咖啡店"),
        ("gb2312", "gbk", "朱镕基"),
        ("x-sjis", "cp932", "港は静か①"),
        ("utf-16", "utf-16-le", "The mole, begun in 1871"),
        ("iso-8859-1", "utf-8", "Éloïse"),
    ],
)
def test_the_name_of_an_encoding_means_what_browsers_read_by_it(
    read: Read, tmp_path: Path, declared: str, encoding: str, words: str
) -> None:
    path = tmp_path / "a.html"
    path.write_bytes(f'<html><head><meta charset="{declared}"></head><p>{words}'.encode(encoding))
    document = read(path)
    assert (document.text, document.notice) == (words, "")


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("3 × 10<sup>6</sup> l, 40 m<sup>2</sup>, 2<sup>-3</sup>", "3 × 10^6 l, 40 m^2, 2^-3"),
        ("In 1998<sup>4</sup>, he said.<sup>12</sup>", "In 1998[4], he said.[12]"),
        ("so<sup>[3]</sup> m<a href='#n'><sup>5</sup></a> m<sup><a href='#n'>6</a></sup>", "so[3] m[5] m[6]"),
        ("the 1<sup>st</sup>, e<sup>x+1</sup>, log<sub>2</sub> 8", "the 1st, e^(x+1), log_2 8"),
        ("<ol start=3><li>C<li>D<li value=9>I</ol>", "3. C\n4. D\n9. I"),
        ("<ol type=a><li>A<li>B</ol><ol type=I start=4><li>D</ol>", "a. A\nb. B\n\nIV. D"),
        ("<table><tr><td rowspan=2>S<td>1<tr><td>2<tr><td><td colspan=2>w</table>", "S | 1\nS | 2\n | w | w"),
        ("<table><tr><td><p>7 m</p><p>2 m</p><td>x</table>", "7 m 2 m | x"),
        ("A <input value=Ann> <input type=checkbox checked> <select><option>B</select>", "A Ann [x] B"),
        ("<ruby>港<rp>(</rp><rt>みなと</rt><rp>)</rp></ruby>", "港(みなと)"),
    ],
)
def test_no_number_changes_and_nothing_is_lost_in_html(html: str, text: str) -> None:
    assert reflow(html, "page").text == text


@pytest.mark.parametrize(
    ("html", "parts"),
    [
        ("<p>Now 12.<p hidden>Was 9.</p><p style='display: none'>Was 7.</p> <del>8</del><s>6</s> Paid.", "4 parts"),
        ("<p>Now 12.</p><div style='VISIBILITY:hidden'><p>a<p>b</div><p>Paid.", "1 part"),
        (
            "<p>Now 12.<span style='color:red; text-decoration: line-through'>9</span><p><strike>8</strike>Paid.",
            "2 parts",
        ),
        ("<p>Now 12.<p aria-hidden=true>*</p><p hidden=''> </p><p>Paid.", "1 part"),
    ],
)
def test_what_a_page_hides_or_strikes_is_left_out_and_told(read: Read, tmp_path: Path, html: str, parts: str) -> None:
    (tmp_path / "a.html").write_text(html, encoding="utf-8")
    document = read(tmp_path / "a.html")
    assert document.text == "Now 12.\n\nPaid."
    assert document.notice == f"Left out as hidden or struck through: {parts}."


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<nav>Menu</nav><main><h1>Fees</h1></main><footer>End</footer>", "# Fees"),
        ("<div>Menu</div><div role=main><p>A night.</div><div>Cookies?</div>", "A night."),
        ("<p>Menu<article><p>A <b>night</b>.</article><p>Menu", "A night."),
    ],
)
def test_only_the_main_part_of_a_page_that_declares_one_is_read(
    read: Read, tmp_path: Path, html: str, text: str
) -> None:
    (tmp_path / "a.html").write_text(f"<title>T</title>{html}", encoding="utf-8")
    document = read(tmp_path / "a.html")
    assert (document.text, document.title) == (text, "T")
    assert "without the menus" in document.notice


@pytest.mark.parametrize(
    "html", ["<article>One.</article><article>Two.</article>", "One.<main> </main><p>Two.", "One.<p>Two."]
)
def test_a_page_without_one_main_part_is_read_whole(html: str) -> None:
    assert reflow(html, "page").text == "One.\n\nTwo."


def test_chapters_are_read_in_the_encoding_that_each_declares(read: Read, tmp_path: Path) -> None:
    wide = chapter("Émile").replace("utf-8", "utf-16").encode("utf-16")
    narrow = chapter("Ærø").replace("utf-8", "iso-8859-1").encode("cp1252")
    path = write_epub(tmp_path / "a.epub", [wide, narrow, chapter("1871<a href='#n'><sup>1</sup></a>")])
    assert texts(read(path)) == ["Émile", "Ærø", "1871[1]"]


def test_a_folder_of_all_formats_is_one_list_in_order(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Plain", encoding="utf-8")
    write_pdf(tmp_path / "b.PDF", ["On paper."])
    write_docx(tmp_path / "c.docx")
    write_epub(tmp_path / "d.epub", [chapter("In a book.")])
    assert [document.id for document in from_path(tmp_path, LIMIT)] == ["a", "b", "c", "d"]


def test_pages_without_text_are_told_and_keep_the_numbers_of_the_others(read: Read, tmp_path: Path) -> None:
    document = read(write_pdf(tmp_path / "mixed.pdf", ["One.", "", "Three."]))
    assert document.notice.startswith("1 of 3 pages are pictures without text or with no more than a stamp (2); ")
    assert page_of(document.pages, document.text.index("Three")) == 3


@pytest.mark.parametrize("stamp", ["BRAN-000001", "Received 3 May 1921, clerk's office", "7"])
def test_a_picture_of_a_page_with_a_stamp_counts_as_scanned(read: Read, tmp_path: Path, stamp: str) -> None:
    from fpdf import FPDF

    pdf = FPDF()
    pdf.set_font("Helvetica", size=8)
    pdf.add_page()
    pdf.image(picture(), 0, 0, 210, 297)
    pdf.text(150, 290, stamp)
    pdf.output(str(tmp_path / "a.pdf"))
    document = read(tmp_path / "a.pdf")
    assert document.text == stamp
    assert document.notice.startswith("1 of 1 pages are pictures")


def test_fields_and_notes_of_a_pdf_stand_behind_the_text_of_their_page(read: Read, tmp_path: Path) -> None:
    boxes = (
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (applicant) /V (Ingrid) /Rect [0 0 9 9] >>",
        b"<< /Type /Annot /Subtype /Widget /FT /Btn /T (insured) /V /Yes /AS /Yes /Rect [0 9 9 19] >>",
        b"<< /Type /Annot /Subtype /Text /Contents (Approved on 3 March.) /Rect [0 20 9 29] >>",
        b"<< /Type /Annot /Subtype /FreeText /Contents (STAMP: 85 paid) /Rect [0 30 9 39] >>",
        b"<< /Type /Annot /Subtype /Link /Contents (no words of the page) /Rect [0 40 9 49] >>",
    )
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] /Annots [4 0 R 5 0 R 6 0 R 7 0 R 8 0 R] >>"
    form = b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [4 0 R 5 0 R] >> >>"
    (tmp_path / "a.pdf").write_bytes(pdf_of(form, b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page, *boxes))
    assert read(tmp_path / "a.pdf").text.splitlines() == [
        "[Field applicant: Ingrid]",
        "[Field insured: yes]",
        "[Note: Approved on 3 March.]",
        "[Note: STAMP: 85 paid]",
    ]


FORM = b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [4 0 R] /DA (/Helv 0 Tf) >> >>"
FORM_PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] /Annots [5 0 R 6 0 R] >>"
NO_FIELD = b"<< /Type /Annot /Subtype /Link /Rect [0 0 1 1] >>"
KID = b"<< /Type /Annot /Subtype /Widget /Parent 4 0 R /Rect [0 0 9 9] %s >>"


@pytest.mark.parametrize(
    ("field", "kids", "lines"),
    [
        (b"/FT /Tx /T (a) /V (Ingrid)", (b"", b""), ["[Field a: Ingrid]"]),
        (b"/FT /Tx /T (a) /TU (Name of the applicant) /V (Ingrid)", (b"",), ["[Field Name of the applicant: Ingrid]"]),
        (b"/FT /Ch /Ff 131072 /T (basin) /Opt [(North) (South)] /V (South)", (b"",), ["[Field basin: South]"]),
        (
            b"/FT /Ch /Ff 2097152 /T (days) /Opt [(Mon) (Tue) (Wed)] /V [(Mon) (Wed)]",
            (b"",),
            ["[Field days: Mon, Wed]"],
        ),
        (
            b"/FT /Btn /Ff 49152 /T (pays) /V /Cash",
            (
                b"/AS /Cash /AP << /N << /Cash 7 0 R /Off 7 0 R >> >>",
                b"/AS /Off /AP << /N << /Card 7 0 R /Off 7 0 R >> >>",
            ),
            ["[Field pays: Cash]"],
        ),
        (b"/FT /Tx /T (a)", (b"",), []),
    ],
    ids=["shown twice", "label", "choice", "choices", "radio", "empty"],
)
def test_a_field_is_read_once_whatever_kind_it_is_of_and_however_it_is_kept(
    field: bytes, kids: tuple[bytes, ...], lines: list[str]
) -> None:
    widgets = [KID % kid for kid in kids]
    whole = b"<< " + field + b" /Kids [%s] >>" % b" ".join(b"%d 0 R" % (5 + at) for at in range(len(kids)))
    look = b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Length 0 >>\nstream\n\nendstream"
    parts = (FORM_PAGE, whole, *[*widgets, NO_FIELD][:2], look)
    data = pdf_of(FORM, b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", *parts)
    if lines:
        assert read_pdf(data, "a.pdf", LIMIT).text.splitlines() == lines
    else:
        with pytest.raises(InputError, match="empty"):
            read_pdf(data, "a.pdf", LIMIT)


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("the embank\ufffe\r\nment", "the embankment"),
        ("a well\ufffe\r\nknown sluice", "a well-known sluice"),
        ("so long-term.\nThe long\ufffe\nterm", "so long-term.\nThe long-term"),
    ],
)
def test_words_that_lines_broke_are_whole_again(lines: str, text: str) -> None:
    assert mend_words(lines) == text


NOTEBOOK = (
    '{"cells": [{"cell_type": "markdown", "source": ["# Mill"]}, {"cell_type": "code", "source": "1+1", "outputs": '
    '[{"data": {"text/plain": ["2"]}}, {"data": {"image/png": "x"}}]}]}'
)
MAIL = (
    "From: Ann\nSubject: =?utf-8?q?Caf=C3=A9?=\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n"
    "\n--x\nContent-Type: text/html; charset=iso-8859-1\n\n<p>Pays 10<sup>3</sup>.\n--x\nContent-Type: image/png\n"
    "Content-Disposition: attachment; filename=plan.png\n\nx\n--x--\n"
)


@pytest.mark.parametrize(
    ("name", "content", "text", "notice"),
    [
        (
            "a.csv",
            'Vessel,Owner,Remark\nAlba,,"laid\nup, 1988"\n',
            "Vessel | Owner | Remark\nAlba |  | laid up, 1988",
            "",
        ),
        ("a.csv", "Port;Tiefe\nOrsk;7,5\nAlba;9,1\n", "Port | Tiefe\nOrsk | 7,5\nAlba | 9,1", ""),
        ("a.tsv", "A\tB\n1\t2\n", "A | B\n1 | 2", ""),
        (
            "a.vtt",
            "WEBVTT\n\n1\n00:01.000 --> 00:02.000\n<v Ann>The <b>gate</b>\nis shut.\n",
            "Ann: The gate is shut.",
            "",
        ),
        (
            "a.srt",
            "1\r\n00:00:01,000 --> 00:00:02,000\r\n<i>Hi.</i>\r\n\r\n2\r\n00:00:03,0 --> 00:00:04,0\r\nBye.",
            "Hi.\nBye.",
            "",
        ),
        ("a.srt", "1\n00:00:01,0 --> 00:00:02,0\nHi.\n\n(whispers)\n\n2\n\nBye.\n", "Hi.\n(whispers)\nBye.", ""),
        (
            "a.vtt",
            "WEBVTT - x\n\nNOTE later\n\nSTYLE\n::cue {}\n\n00:01.0 --> 00:02.0\nHi.\n\nNOTE\ncheck\n",
            "Hi.",
            "Left out: notes to editors (2).",
        ),
        ("a.json", '{"valve": [1, 2]}', '{"valve": [1, 2]}', ""),
        (
            "a.ipynb",
            '{"cells": [{"attachments": {"a.png": {}}, "outputs": [{"data": {"text/html": "<b>7</b> boats"}}, {"data": '
            '{"text/markdown": ["*8*"]}}, {"ename": "KeyError", "evalue": "9"}, {"data": {"x/javascript": "0"}}]}]}',
            "Output:\n7 boats\n\nOutput:\n*8*\n\nOutput:\nKeyError: 9",
            "Left out: pictures of cells (1), what cells put out for browsers alone (1).",
        ),
        ("a.ipynb", NOTEBOOK, "# Mill\n\n```\n1+1\n```\n\nOutput:\n2", "Left out: pictures of cells (1)."),
        (
            "a.eml",
            MAIL,
            "From: Ann\nSubject: Café\n\nPays 10^3.",
            "Not read: plan.png (no format that is read).",
        ),
    ],
)
def test_tables_captions_notebooks_and_mail_are_read(
    read: Read, tmp_path: Path, name: str, content: str, text: str, notice: str
) -> None:
    (tmp_path / name).write_bytes(content.encode())
    document = read(tmp_path / name)
    assert document.text == text
    assert document.notice.startswith(notice)
    assert bool(document.notice) == bool(notice)


def test_a_scan_is_refused_with_what_makes_it_readable(read: Read, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"scan\.pdf has no text: its 2 pages are pictures; "):
        read(write_pdf(tmp_path / "scan.pdf", ["", ""]))


def test_an_encrypted_pdf_is_refused_with_the_command_that_opens_it(read: Read, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"secret\.pdf is encrypted\. Save it without its password.*qpdf"):
        read(write_pdf(tmp_path / "secret.pdf", ["Secret."], password="secret"))


@pytest.mark.parametrize("suffix", ["pdf", "docx", "pptx", "epub"])
@pytest.mark.parametrize("data", [b"junk", b"PK\x03\x04junk", b"%PDF-1.7 junk", b""])
def test_a_damaged_file_is_refused_by_name(read: Read, tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"broken.{suffix}"
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"broken\.{suffix} is damaged"):
        read(path)


@pytest.mark.parametrize("suffix", ["docx", "pptx", "epub"])
def test_an_archive_that_holds_something_else_is_refused(read: Read, tmp_path: Path, suffix: str) -> None:
    with pytest.raises(InputError, match=rf"other\.{suffix} .*[Ss]ave it anew"):
        read(write_zip(tmp_path / f"other.{suffix}", {"readme.txt": "text"}))


def test_an_old_or_encrypted_office_file_is_refused(read: Read, tmp_path: Path) -> None:
    (tmp_path / "old.docx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    with pytest.raises(InputError, match="encrypted, or of an old Office format"):
        read(tmp_path / "old.docx")


def test_a_protected_book_is_refused_and_one_with_protected_fonts_is_read(read: Read, tmp_path: Path) -> None:
    def listed(name: str) -> dict[str, str]:
        return {"META-INF/encryption.xml": f'<encryption><CipherReference URI="{name}"/></encryption>'}

    free = write_epub(tmp_path / "free.epub", [chapter("Words.")], **listed("OEBPS/font.otf"))
    assert read(free).text == "Words."
    with pytest.raises(InputError, match="protected by its seller"):
        read(write_epub(tmp_path / "drm.epub", [chapter("Words.")], **listed("OEBPS/z1%20x.xhtml")))


@pytest.mark.parametrize("suffix", ["docx", "pptx", "epub"])
def test_a_zip_bomb_is_refused_before_it_is_unpacked(read: Read, tmp_path: Path, suffix: str) -> None:
    with pytest.raises(InputError, match=r"unpacks from .* to 33,554,432 bytes .* made to do harm"):
        read(write_zip(tmp_path / f"bomb.{suffix}", {"word/document.xml": "\0" * (32 << 20)}))


def test_an_archive_of_countless_files_is_refused() -> None:
    import io

    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for number in range(MAX_ENTRIES + 1):
            archive.writestr(str(number), b"")
    with pytest.raises(InputError, match="in 20,001 files"):
        open_archive(data.getvalue(), "many")


def test_an_archive_that_lies_about_a_size_gives_no_more_than_it_said(read: Read, tmp_path: Path) -> None:
    path = write_epub(tmp_path / "liar.epub", [chapter("x" * 5000)])
    honest = (5000 + len(chapter(""))).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(honest, (100).to_bytes(4, "little")))
    with pytest.raises(InputError, match=r"liar\.epub cannot be read as EPUB"):
        read(path)


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
ENTITIES = {
    "laughs": f'<!DOCTYPE x [<!ENTITY l0 "lol">{LAUGHS}]>',
    "outside": '<!DOCTYPE x [<!ENTITY l9 SYSTEM "file:///etc/passwd">]>',
}


@pytest.mark.parametrize("kind", ENTITIES)
def test_entities_of_xml_are_neither_expanded_nor_fetched(read: Read, tmp_path: Path, kind: str) -> None:
    book = ENTITIES[kind] + CONTAINER_WITH_ENTITY
    with pytest.raises(InputError):
        read(write_zip(tmp_path / "evil.epub", {"META-INF/container.xml": book}))
    word = f"{ENTITIES[kind]}<w:document xmlns:w='{WORD}'><w:body><w:p><w:r><w:t>A&l9;</w:t></w:r></w:p></w:body>"
    path = docx_with(tmp_path / "evil.docx", word + "</w:document>")
    try:
        assert read(path).text == "A"
    except InputError as error:
        assert "cannot be read as DOCX" in str(error)  # noqa: PT017  # either is safe


CONTAINER_WITH_ENTITY = '<container><rootfile full-path="&l9;"/></container>'


def test_html_nested_without_end_is_refused_and_deep_nesting_is_read(read: Read, tmp_path: Path) -> None:
    assert reflow("<div>" * 1500 + "core" + "</div>" * 1500 + "end", "page")[:2] == ("", "core\n\nend")
    (tmp_path / "deep.html").write_text("<div>" * 200_000 + "core", encoding="utf-8")
    with pytest.raises(InputError, match=r"deep\.html is nested deeper than any page is"):
        read(tmp_path / "deep.html")


def bomb(path: Path, size: int, pages: int = 1, operators: bytes = b"BT /F 9 Tf (word) Tj ET ") -> Path:
    """A PDF whose pages all draw one stream that unpacks to `size` bytes."""
    packer = zlib.compressobj(9)
    chunk = operators * ((1 << 20) // len(operators))
    packed = b"".join(packer.compress(chunk) for _ in range(max(1, size >> 20))) + packer.flush()
    kids = b" ".join(b"5 0 R" for _ in range(pages))
    stream = b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed)
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    page = (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] /Contents 3 0 R /Resources << /Font << /F 4 0 R >> >> >>"
    )
    tree = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (pages, kids)
    path.write_bytes(pdf_of(b"<< /Type /Catalog /Pages 2 0 R >>", tree, stream, font, page))
    return path


def test_a_pdf_bomb_is_ended_by_its_memory_and_the_next_file_is_read(read: Read, tmp_path: Path) -> None:
    evil = bomb(tmp_path / "bomb.pdf", 64 << 20)
    assert evil.stat().st_size < 1 << 20
    with (
        SandboxedReader(memory=128 << 20) as apart,
        pytest.raises(InputError, match=r"bomb\.pdf needs more than 128 MiB of mem"),
    ):
        apart.read(evil.read_bytes(), ".pdf", "bomb.pdf", LIMIT)
    assert read(write_pdf(tmp_path / "good.pdf", ["Good."])).text == "Good."


def test_a_file_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    with (
        SandboxedReader(seconds=0.0) as apart,
        pytest.raises(InputError, match=r"slow\.pdf could not be read within 0 seconds"),
    ):
        apart.read(bomb(tmp_path / "slow.pdf", 64 << 20).read_bytes(), ".pdf", "slow.pdf", LIMIT)


def test_reading_is_stopped_within_a_page(tmp_path: Path) -> None:
    path, flag = bomb(tmp_path / "slow.pdf", 64 << 20), threading.Event()
    flag.set()
    with cancellable(flag), SandboxedReader() as apart, pytest.raises(Cancelled):
        apart.read(path.read_bytes(), ".pdf", "slow.pdf", LIMIT)


def test_a_pdf_is_not_read_beyond_the_limit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"long\.pdf has more than 1,000 characters; the limit is 1,000"):
        from_path(write_pdf(tmp_path / "long.pdf", [LONG] * 10), 1000)


def test_a_long_pdf_that_several_processes_read_says_what_one_does(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_pdf(tmp_path / "long.pdf", [f"The harbour book\nPage {page} says {LONG}" for page in range(7)])
    whole = read(path)
    monkeypatch.setattr("memorag_core.ingest.sandbox.LONG", 0)
    monkeypatch.setattr("memorag_core.concurrency.processes.count_cores", lambda: 3)
    with SandboxedReader() as apart:
        found = apart.read(path.read_bytes(), ".pdf", "long.pdf", LIMIT)
        assert (found.text, found.pages, found.notice) == (whole.text, whole.pages, whole.notice)
        with pytest.raises(InputError, match=r"long\.pdf is damaged or no PDF"):
            apart.read(path.read_bytes()[:100], ".pdf", "long.pdf", LIMIT)


def test_a_pdf_of_countless_pages_is_refused(read: Read, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"many\.pdf has 20,001 pages; the limit is 20,000"):
        read(bomb(tmp_path / "many.pdf", 0, pages=20_001))


@pytest.mark.parametrize("suffix", ["pdf", "docx", "pptx", "epub", "html"])
def test_a_file_of_300_mb_is_refused_before_it_is_read(
    read: Read, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"huge.{suffix}"
    path.touch()
    os.truncate(path, 300_000_000)
    monkeypatch.delattr(SandboxedReader, "read")
    with pytest.raises(InputError, match=r"has 300,000,000 bytes; files of its kind may have 209,715,200"):
        read(path)


@pytest.mark.parametrize("code", ["import os; input(); os.abort()", "raise SystemExit"], ids=["reading", "starting"])
def test_a_reader_that_crashes_is_an_error_of_the_file(
    tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashing = Launch(sys.executable, ["-c", code], dict(os.environ), tmp_path)
    monkeypatch.setattr("memorag_core.concurrency.processes.launch_ours", lambda *_: crashing)
    with pytest.raises(InputError, match=r"a\.pdf made its reader crash"):
        from_path(write_pdf(tmp_path / "a.pdf", ["Text."]), LIMIT)
