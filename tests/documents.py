"""Small files of each format, written for tests by libraries that are not those which read them, or by hand."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from docx import Document as Word
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from fpdf import FPDF
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

CONTAINER = '<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
RELS = "http://schemas.openxmlformats.org"


def write_pdf(path: Path, pages: Sequence[str], password: str = "") -> Path:
    """Pages of wrapped text; a page without text has a picture instead, as a scan has."""
    pdf = FPDF()
    pdf.set_font("Helvetica", size=11)
    if password:
        pdf.set_encryption(owner_password="owner", user_password=password)
    for text in pages:
        pdf.add_page()
        if text:
            pdf.multi_cell(0, text=text)
        else:
            pdf.image(picture(), w=100)
    pdf.output(str(path))
    return path


def picture() -> io.BytesIO:
    from PIL import Image

    data = io.BytesIO()
    Image.new("RGB", (8, 8), "gray").save(data, "PNG")
    data.seek(0)
    return data


def write_docx(path: Path) -> Path:
    """A heading, a paragraph in two styles, a list, a table."""
    word = Word()
    word.add_heading("Report upon the Mill", 1)
    paragraph = word.add_paragraph("The gates were hung in ")
    paragraph.add_run("May 1963").bold = True
    word.add_paragraph("A horn", style="List Bullet")
    table = word.add_table(1, 2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "Pins", "14 pounds"
    word.add_picture(picture())
    word.add_paragraph("The end & the signature.")
    word.save(str(path))
    return path


def write_docx_with_margins(path: Path) -> Path:
    """A header, a footer, a comment, a power and the mark of a note."""
    word = Word()
    word.sections[0].header.paragraphs[0].text = "Contract KX-4471"
    word.sections[0].footer.paragraphs[0].text = "Page of 2031"
    paragraph = word.add_paragraph("Text 10")
    paragraph.add_run("6").font.superscript = True
    paragraph.add_run(", 1998")
    paragraph.add_run("4").font.superscript = True
    paragraph.add_run(".")
    word.add_comment(paragraph.runs, text="Check 12.", author="Bo", initials="B")
    word.save(str(path))
    return path


def write_numbered_docx(path: Path, form: str, pattern: str) -> Path:
    """Clauses on two levels, numbered by Word; the lower level in the form and pattern given."""
    word = Word()
    numbering = word.part.numbering_part._element
    levels = "".join(
        f'<w:lvl w:ilvl="{level}"><w:start w:val="1"/><w:numFmt w:val="{kind}"/><w:lvlText w:val="{shape}"/></w:lvl>'
        for level, kind, shape in ((0, "decimal", "%1."), (1, form, pattern))
    )
    numbering.insert(0, parse_xml(f'<w:abstractNum {nsdecls("w")} w:abstractNumId="77">{levels}</w:abstractNum>'))
    numbering.append(parse_xml(f'<w:num {nsdecls("w")} w:numId="77"><w:abstractNumId w:val="77"/></w:num>'))
    for level in (0, 1, 1, 0, 1):
        number = f'<w:numPr {nsdecls("w")}><w:ilvl w:val="{level}"/><w:numId w:val="77"/></w:numPr>'
        word.add_paragraph("Clause")._p.get_or_add_pPr().append(parse_xml(number))
    word.save(str(path))
    return path


def write_pptx(path: Path, slides: Sequence[str]) -> Path:
    """A slide for each text, the first line its title; notes and a table on the last."""
    show = Presentation()
    for text in slides:
        slide = show.slides.add_slide(show.slide_layouts[1])
        slide.shapes.title.text, slide.placeholders[1].text = text.split("\n", 1)
    table = slide.shapes.add_table(1, 2, Inches(1), Inches(1), Inches(2), Inches(1)).table
    table.cell(0, 0).text, table.cell(0, 1).text = "Pins", "14 pounds"
    slide.notes_slide.notes_text_frame.text = "Speak slowly."
    show.save(str(path))
    return path


def write_deck(path: Path) -> Path:
    """Boxes drawn bottom first, with raised characters; a hidden slide; a chart and a table with merged cells."""
    show = Presentation()
    first, hidden, last = (show.slides.add_slide(show.slide_layouts[6]) for _ in range(3))
    for top, words in ((2, "Step 2."), (1, "Step 1.")):
        first.shapes.add_textbox(0, Inches(top), Inches(3), Inches(1)).text_frame.text = words
    line = first.shapes.add_textbox(0, Inches(3), Inches(3), Inches(1)).text_frame.paragraphs[0]
    for words, baseline in (("2 × 10", 0), ("5", 30000), (", 1998", 0), ("4", 30000)):
        run = line.add_run()
        run.text = words
        run.font._element.set("baseline", str(baseline))
    hidden._element.set("show", "0")
    hidden.shapes.add_textbox(0, 0, Inches(3), Inches(1)).text_frame.text = "Hidden."
    data = CategoryChartData()  # type: ignore[no-untyped-call]
    data.categories = ["2021", "2022"]
    data.add_series("Orsk", (410, 388.5))  # type: ignore[no-untyped-call]
    data.add_series("Alba", (1, 2))  # type: ignore[no-untyped-call]
    chart = last.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, 0, Inches(3), Inches(3), data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "Grain"
    table = last.shapes.add_table(2, 2, 0, Inches(4), Inches(3), Inches(1)).table
    table.cell(0, 0).text, table.cell(0, 1).text, table.cell(1, 0).text = "North", "Varga", "South"
    table.cell(0, 1).merge(table.cell(1, 1))
    show.save(str(path))
    return path


def write_epub(path: Path, chapters: Sequence[str | bytes], **more: str) -> Path:
    """A book of XHTML chapters, in an order that is not that of their names; `more` are further files."""
    names = [f"z{len(chapters) - number} x.xhtml" for number in range(len(chapters))]
    items = "".join(
        f'<item id="i{n}" href="{name.replace(" ", "%20")}" media-type="application/xhtml+xml"/>'
        for n, name in enumerate(names)
    )
    order = "".join(f'<itemref idref="i{n}"/>' for n in range(len(names)))
    book = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf"><metadata>'
        '<dc:title xmlns:dc="http://purl.org/dc/elements/1.1/">The Mill &amp; the Pond</dc:title></metadata>'
        f"<manifest>{items}</manifest><spine>{order}</spine></package>"
    )
    files: dict[str, str | bytes] = {"META-INF/container.xml": CONTAINER, "OEBPS/book.opf": book}
    files |= {f"OEBPS/{name}": chapter for name, chapter in zip(names, chapters, strict=True)}
    return write_zip(path, files | more)


def chapter(text: str) -> str:
    return (
        f'<?xml version="1.0" encoding="utf-8"?><html><head><title/></head><body><p><a id="x"/>{text}</p></body></html>'
    )


def write_zip(path: Path, files: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def docx_with(path: Path, document: str) -> Path:
    """A Word file whose main part is the XML given."""
    kind = f"{RELS}/officeDocument/2006/relationships/officeDocument"
    rels = f'<Relationships xmlns="{RELS}/package/2006/relationships"><Relationship Id="r" Type="{kind}" '
    types = f'<Types xmlns="{RELS}/package/2006/content-types"/>'
    return write_zip(
        path,
        {
            "[Content_Types].xml": types,
            "_rels/.rels": f'{rels}Target="word/document.xml"/></Relationships>',
            "word/document.xml": document,
        },
    )


def pdf_of(*objects: bytes) -> bytes:
    """A PDF from its objects, the first of which is the catalogue; the reader rebuilds the table of offsets."""
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (number, data) for number, data in enumerate(objects, 1))
    return b"%PDF-1.7\n" + body + b"trailer\n<< /Root 1 0 R /Size %d >>\n%%%%EOF\n" % (len(objects) + 1)
