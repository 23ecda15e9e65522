"""What OpenDocument says beside its plain paragraphs: numbers, margins, boxes, charts, formulas, texts of pictures."""

from __future__ import annotations

import io
from zipfile import ZipFile

import pytest

from memorag_core.errors import InputError
from memorag_core.ingest.extract import Extract
from memorag_core.ingest.odt import read

OASIS = "urn:oasis:names:tc:opendocument:xmlns"
KINDS = {"office": "office", "text": "text", "style": "style", "table": "table", "draw": "drawing", "chart": "chart"}
KINDS |= {"svg": "svg-compatible", "presentation": "presentation"}
NAMES = " ".join(f'xmlns:{short}="{OASIS}:{name}:1.0"' for short, name in KINDS.items())
NAMES += ' xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:m="http://www.w3.org/1998/Math/MathML"'
NUMBERS = "".join(
    f'<text:list-style style:name="{name}">{levels}</text:list-style>'
    for name, levels in {
        "N": '<text:list-level-style-number text:level="1" style:num-format="1" style:num-suffix="."/>'
        '<text:list-level-style-number text:level="2" style:num-format="a" style:num-suffix=")" text:start-value="2"/>'
        '<text:list-level-style-number text:level="3" style:num-format="i" text:display-levels="3"/>',
        "B": '<text:list-level-style-bullet text:level="1" text:bullet-char="x"/>',
    }.items()
)


def file_of(root: str, inner: str) -> str:
    return f"<office:document-{root} {NAMES}>{inner}</office:document-{root}>"


def read_open(body: str, styles: str = "", master: str = "", kind: str = "text", **files: str) -> Extract:
    out = io.BytesIO()
    with ZipFile(out, "w") as archive:
        automatic = f"<office:automatic-styles>{styles}</office:automatic-styles>"
        body = f"<office:body><office:{kind}>{body}</office:{kind}></office:body>"
        archive.writestr("content.xml", file_of("content", automatic + body))
        archive.writestr("styles.xml", file_of("styles", master))
        for name, inner in files.items():
            archive.writestr(name.replace("__", "/") + ".xml", inner)
    return read(out.getvalue(), "a.odt", 10_000)


def item(words: str, inner: str = "", more: str = "") -> str:
    return f"<text:list-item{more}><text:p>{words}</text:p>{inner}</text:list-item>"


def listed(*items: str, more: str = ' text:style-name="N"') -> str:
    return f"<text:list{more}>{''.join(items)}</text:list>"


GOING_ON = ' text:style-name="N" text:continue-numbering="true"'
BULLETS = ' text:style-name="B"'
HEADER = "<text:list-header><text:p>H</text:p></text:list-header>"
DEEP = listed(item("x", listed(item("deep"), more="")), more="")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (listed(item("A"), item("B")), "1. A\n\n2. B"),
        (listed(item("A"), more=BULLETS), "- A"),
        (listed(item("A", listed(item("x"), item("y"), more="")), item("B")), "1. A\nb) x\nc) y\n\n2. B"),
        (
            listed(item("A", more=' text:start-value="7"'))
            + listed(item("B"), more=GOING_ON)
            + listed(item("C"), more=' text:style-name="N"'),
            "7. A\n\n8. B\n\n1. C",
        ),
        (listed(HEADER, f"<text:list-item>{DEEP}</text:list-item>"), "H\n\nb) x\n1.b.i deep"),
    ],
)
def test_items_have_the_numbers_that_a_reader_sees(body: str, text: str) -> None:
    assert read_open(body, NUMBERS).text == text


def test_headings_have_the_numbers_of_their_outline() -> None:
    levels = "".join(
        f'<text:outline-level-style text:level="{level}" style:num-format="1" text:display-levels="{level}"/>'
        for level in (1, 2)
    )
    outline = f'<office:styles><text:outline-style style:name="Outline">{levels}</text:outline-style></office:styles>'
    free = '<style:style style:name="F" style:family="paragraph" style:list-style-name=""/>'
    heads = [(1, "Mill", ""), (2, "Dam", ""), (2, "Lock", ""), (1, "Quay", ""), (1, "Index", ' text:style-name="F"')]
    body = "".join(f'<text:h text:outline-level="{level}"{more}>{words}</text:h>' for level, words, more in heads)
    assert read_open(body, free, outline).text == "# 1 Mill\n\n## 1.1 Dam\n\n## 1.2 Lock\n\n# 2 Quay\n\n# Index"


def test_headers_and_footers_stand_once_around_the_text_without_page_numbers() -> None:
    pages = "".join(
        f"<style:master-page><style:header><text:p>The mill</text:p></style:header>{unseen}<style:footer><text:p>Draft"
        "</text:p><text:p><text:page-number>7</text:page-number></text:p></style:footer></style:master-page>"
        for unseen in ("", '<style:header-left style:display="false"><text:p>Unseen</text:p></style:header-left>')
    )
    master = f"<office:master-styles>{pages}</office:master-styles>"
    assert read_open("<text:p>Text</text:p>", master=master).text == "The mill\n\nText\n\nDraft"


def test_slides_have_their_notes_and_footer_and_hidden_ones_are_told() -> None:
    hidden = (
        '<style:style style:name="H"><style:drawing-page-properties presentation:visibility="hidden"/></style:style>'
    )
    notes = (
        '<presentation:notes><draw:frame presentation:class="header"><draw:text-box><text:p>no</text:p></draw:text-box>'
        '</draw:frame><draw:frame presentation:class="notes"><draw:text-box><text:p>Breathe</text:p></draw:text-box>'
        "</draw:frame></presentation:notes>"
    )
    box = "<draw:frame><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>"
    body = (
        "<presentation:footer-decl presentation:name='f'>Harbour board</presentation:footer-decl><draw:page>"
        f'{box.format("One")}{notes}</draw:page><draw:page draw:style-name="H">{box.format("Two")}</draw:page>'
    )
    extract = read_open(body, hidden, kind="presentation")
    assert extract.text == "One\n\nNotes: Breathe\n\nHarbour board"
    assert extract.notice == "Left out: hidden slides (1)."


CHART = (
    "<office:body><office:chart><chart:chart><chart:title><text:p>Boats</text:p></chart:title><table:table>"
    "<table:table-row><table:table-cell><text:p>2031</text:p></table:table-cell><table:table-cell><text:p>7</text:p>"
    "<draw:g><svg:desc>local-table.A1</svg:desc></draw:g></table:table-cell></table:table-row></table:table>"
    "</chart:chart></office:chart></office:body>"
)


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        ('<draw:object xlink:href="./Object 1"/><draw:image xlink:href="x"/>', "So many.\n\nBoats\n\n2031 | 7"),
        ('<draw:object xlink:href="./Object 2"/>', "So E = m c^2 many."),
        ("<draw:image/><svg:title>Map</svg:title><svg:desc>The quay</svg:desc>", "So many.\n\n[Image: Map The quay]"),
        ("<draw:text-box><text:p>One</text:p><text:p>Two</text:p></draw:text-box>", "So many.\n\nOne\n\nTwo"),
    ],
)
def test_what_is_drawn_is_read_where_it_hangs(frame: str, text: str) -> None:
    formula = (
        '<m:math xmlns:m="http://www.w3.org/1998/Math/MathML"><m:semantics><m:mi>E</m:mi><m:annotation>E = m c^2'
        "</m:annotation></m:semantics></m:math>"
    )
    body = f"<text:p>So <draw:frame>{frame}</draw:frame> many.</text:p>"
    files = {"Object 1__content": file_of("content", CHART), "Object 2__content": formula}
    assert " ".join(read_open(body, **files).text.split(" ")).replace("  ", " ") == text


def test_what_is_hidden_or_of_another_program_is_told() -> None:
    hidden = '<style:style style:name="H"><style:text-properties text:display="none"/></style:style>'
    body = (
        '<text:p>A<text:span text:style-name="H">secret</text:span><draw:frame><draw:object-ole/></draw:frame></text:p>'
    )
    assert read_open(body, hidden).text == "A"
    assert read_open(body, hidden).notice == "Left out: hidden parts (1), embedded objects (1)."
    manifest = "<m:manifest xmlns:m='x'><m:encryption-data/></m:manifest>"
    with pytest.raises(InputError, match="is encrypted"):
        read_open(body, **{"META-INF__manifest": manifest})
