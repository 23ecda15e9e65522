"""PDF pages are read as people read them: columns, tables, notes and what repeats on each page."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import count

import pypdfium2
import pytest
from fpdf import FPDF

from memorag_core.ingest.extract import Extract
from memorag_core.ingest.pdf import _text_of, read
from memorag_core.ingest.pdf_grid import Rulings
from memorag_core.ingest.pdf_layout import Prose, Run, lay_out
from memorag_core.ingest.pdf_words import Box, Word

LEFT = ["The northern mole was begun in", "1871 under the engineer Haakon", "Brekke, and it took nine years."]
RIGHT = ["The southern mole came later,", "in 1902, under Sofie Lind, the", "first woman to lead such works."]
FLOWED = f"{' '.join(LEFT)}\n{' '.join(RIGHT)}"
Piece = tuple[float, float, float, str]
"""From the left and the top in millimetres, the size in points, the words."""


def pdf_of(*pages: Sequence[Piece], grid: tuple[Sequence[float], Sequence[float]] = ((), ())) -> Extract:
    """Draw each piece where it is said, with a ruled grid on each page, and read it."""
    pdf = FPDF()
    pdf.set_font("Helvetica")
    for pieces in pages:
        pdf.add_page()
        for left, top, size, words in pieces:
            pdf.set_font_size(size)
            pdf.text(left, top, words)
        columns, rows = grid
        for column in columns:
            pdf.line(column, rows[0], column, rows[-1])
        for row in rows:
            pdf.line(columns[0], row, columns[-1], row)
    return read(bytes(pdf.output()), "a.pdf", 1_000_000)


def column(left: float, lines: Sequence[str], top: float = 30) -> Iterator[Piece]:
    return ((left, y, 11, line) for y, line in zip(count(top, 5), lines, strict=False))


@pytest.mark.parametrize(
    "pieces",
    [
        [piece for row in zip(column(20, LEFT), column(110, RIGHT), strict=True) for piece in row],
        [*column(20, LEFT), *column(110, RIGHT)],
        [*column(20, LEFT), *column(110, RIGHT, top=32.5)],
        [*column(110, RIGHT), *column(20, LEFT)],
    ],
    ids=["by rows", "by columns", "lines not level", "right first"],
)
def test_columns_are_read_one_after_the_other_however_they_were_drawn(pieces: list[Piece]) -> None:
    assert pdf_of(pieces).text == FLOWED


@pytest.mark.parametrize("heights", [(9.0, 0.0), (0.0, 9.0), (9.0, 1e-9)])
def test_letters_that_a_file_says_have_no_height_are_read(heights: tuple[float, float]) -> None:
    words = [
        Word(f"{name}{row}", Box(left, 700.5 - 8 * row, left + 90.0, 700.5 - 8 * row + height))
        for left, name, height in zip((50.0, 200.0), "ab", heights, strict=True)
        for row in range(4)
    ]
    text = _text_of(lay_out(words, Rulings([], [])))
    assert sorted(text.replace("|", " ").split()) == [f"{name}{row}" for name in "ab" for row in range(4)]


def test_lines_across_the_page_stand_before_and_behind_its_columns() -> None:
    title, end = "A history of the moles of the harbour, in two parts, for the members of the board of 1931", "End."
    pieces = [(20, 20, 11, title), *column(20, LEFT), *column(110, RIGHT), (20, 60, 11, end)]
    assert pdf_of(pieces).text == f"{title}\n{FLOWED}\n{end}"


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([(20, 20, 12, "built in 1931"), (43, 18.5, 7, "4"), (47, 20, 12, "and")], "built in 1931[4] and"),
        ([(20, 20, 12, "holds 25 m"), (42, 18.5, 7, "3"), (46, 20, 12, "of it")], "holds 25 m^3 of it"),
        ([(20, 20, 12, "so H"), (28.8, 21.2, 7, "2"), (30.2, 20, 12, "O is wet")], "so H_2O is wet"),
    ],
)
def test_what_is_raised_or_lowered_is_written_so(pieces: list[Piece], text: str) -> None:
    assert pdf_of(pieces).text == text


COLUMNS, ROWS = (20.0, 50.0, 75.0, 110.0), (20.0, 30.0, 40.0, 50.0)
CELLS = [
    (22, 26, 11, "Vessel"),
    (52, 26, 11, "Built"),
    (77, 26, 11, "Owner"),
    (22, 36, 11, "Alba"),
    (77, 36, 11, "Lund"),
]


@pytest.mark.parametrize(
    ("more", "row"),
    [
        ([(22, 46, 11, "Brit"), (52, 46, 11, "1994")], "Brit | 1994 |"),
        ([(52, 46, 11, "1994"), (77, 46, 11, "sold")], " | 1994 | sold"),
        (
            [(22, 46, 11, "Cato"), (77, 44, 9, "laid up since"), (77, 48, 9, "the fire")],
            "Cato |  | laid up since the fire",
        ),
    ],
)
def test_a_ruled_table_is_a_line_for_each_row_with_empty_cells_visible(more: list[Piece], row: str) -> None:
    pieces = [(20, 15, 11, "Fleet"), *CELLS, *more, (20, 58, 11, "All unladen.")]
    text = pdf_of(pieces, grid=(COLUMNS, ROWS)).text
    assert text == f"Fleet\n\nVessel | Built | Owner\nAlba |  | Lund\n{row}\n\nAll unladen."


def two_lines(left: float, above: str, below: str) -> list[Piece]:
    return [(left, top, 9, words) for top, words in ((44, above), (48, below)) if words]


@pytest.mark.parametrize(
    ("more", "rows"),
    [
        ([*two_lines(22, "Brit", "Cato"), *two_lines(52, "1994", "1995")], ["Brit | 1994 |", "Cato | 1995 |"]),
        (
            [*two_lines(22, "Brit", "Cato"), *two_lines(52, "", "1995"), *two_lines(77, "7 m", "8 m")],
            ["Brit |  | 7 m", "Cato | 1995 | 8 m"],
        ),
        ([*two_lines(52, "1,994", "0.5"), *two_lines(77, "3.1", "-")], [" | 1,994 | 3.1", " | 0.5 | -"]),
        ([*two_lines(22, "The old", "Cato"), *two_lines(77, "laid up", "since")], ["The old Cato |  | laid up since"]),
        (
            [(22, 46, 9, "Cato"), (52, 46, 9, "1995"), *two_lines(77, "from 1931", "to 1938")],
            ["Cato | 1995 | from 1931 to 1938"],
        ),
    ],
    ids=["two", "one empty", "figures alone", "wrapped words", "one wrapped"],
)
def test_rows_that_no_line_parts_are_parted_where_their_figures_stand(more: list[Piece], rows: list[str]) -> None:
    text = pdf_of([*CELLS, *more], grid=(COLUMNS, ROWS)).text
    assert text.splitlines() == ["Vessel | Built | Owner", "Alba |  | Lund", *rows]


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        ([("Alba", "1988", "7 m"), ("Brit", "1994", "8 m")], ["Alba | 1988 | 7 m", "Brit | 1994 | 8 m"]),
        ([("Alba", "1988", "7 m"), ("", "1994", "8 m")], ["Alba | 1988 | 7 m", " | 1994 | 8 m"]),
        ([("Alba", "1988", "laid up"), ("", "", "in 1931")], ["Alba | 1988 | laid up in 1931"]),
    ],
    ids=["rows", "first empty", "wrapped"],
)
def test_rows_between_two_lines_across_a_table_are_rows(lines: list[tuple[str, str, str]], rows: list[str]) -> None:
    cells = [
        (left, 36 + 5 * at, 11, words)
        for at, line in enumerate([*lines, ("Cato", "2001", "9 m")])
        for left, words in zip((22, 52, 77), line, strict=True)
        if words
    ]
    text = pdf_of([*CELLS[:3], *cells], grid=((20, 110), (20, 30, 60))).text
    assert [line.rstrip() for line in text.splitlines()] == ["Vessel | Built | Owner", *rows, "Cato | 2001 | 9 m"]


def test_a_table_without_lines_is_read_by_its_gaps() -> None:
    pieces = [
        *CELLS,
        (22, 46, 11, "Brit"),
        (52, 46, 11, "1994"),
        (20, 70, 11, "All draughts are unladen and in metres."),
    ]
    assert pdf_of(pieces).text.splitlines()[:3] == ["Vessel | Built | Owner", "Alba |  | Lund", "Brit | 1994 |"]


def test_heads_feet_and_numbers_of_pages_are_read_once_and_told() -> None:
    words = ["Alder is high.", "Birch is low.", "Elm is broad.", "Gorse is thin.", "Hazel is young."]
    pages = [
        [(20, 15, 9, "Annals"), (20, 40, 11, line), (20, 45, 11, f"Step {number}"), (90, 285, 9, f"Page {number} of 5")]
        for number, line in enumerate(words, 1)
    ]
    found = pdf_of(*pages)
    inner = [part for number, line in enumerate(words[1:], 2) for part in (line, f"Step {number}")]
    assert found.text.split() == " ".join(["Annals", words[0], "Step 1", "Page 1 of 5", *inner]).split()
    assert found.notice == "Read once: heads and feet of pages, which repeat on most (8 lines)."


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_a_turned_page_is_read_as_it_is_shown(turned: int) -> None:
    pdf = FPDF(format=(210, 210))
    pdf.add_page()
    pdf.set_font("Helvetica", size=11)
    for left, top, _, words in [*column(20, LEFT), *column(110, RIGHT)]:
        pdf.text(left, top, words)
    document = pypdfium2.PdfDocument(bytes(pdf.output()))
    page = document[0]
    side = page.get_width()
    upright = {90: (0, 1, -1, 0, side, 0), 180: (-1, 0, 0, -1, side, side), 270: (0, -1, 1, 0, 0, side)}
    for piece in page.get_objects():
        piece.transform(pypdfium2.PdfMatrix(*upright[turned]))
    page.gen_content()
    page.set_rotation(turned)
    saved = io.BytesIO()
    document.save(saved)
    assert read(saved.getvalue(), "a.pdf", 1_000_000).text == FLOWED


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["历时九年才完", "工,耗资甚巨。"], "历时九年才完工,耗资甚巨。"),
        (["防波堤は一八七一年に着", "工された。"], "防波堤は一八七一年に着工された。"),
        (["林素女士见到了 Haakon", "Brekke 先生和他的"], "林素女士见到了 Haakon Brekke 先生和他的"),
    ],
)
def test_no_blank_comes_between_characters_that_are_written_without(lines: list[str], text: str) -> None:
    runs = [Run(line, Box(50, 700 - 15 * row, 170, 711 - 15 * row)) for row, line in enumerate(lines)]
    assert _text_of([Prose(runs)]) == text


@pytest.mark.parametrize("words", ["הרציף הצפוני נבנה", "بدأ بناء الرصيف", "נבנה בשנת 1871"])
def test_words_that_run_from_right_to_left_keep_their_order(words: str) -> None:
    placed = [Word(word, Box(300 - 60 * at, 700, 340 - 60 * at, 711)) for at, word in enumerate(words.split())]
    assert _text_of(lay_out(placed, Rulings([], []))) == words
