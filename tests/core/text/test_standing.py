"""A passage knows where it stands: its document, the headings over it, the table it continues, the pages it is on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from memorag_core.concurrency.progress import SILENT
from memorag_core.context.encode import cut
from memorag_core.context.section_titles import SectionTitles
from memorag_core.errors import InputError
from memorag_core.retrieval.bm25 import Bm25Retriever
from memorag_core.text.pages import join_pages
from memorag_core.text.tables import find_tables
from memorag_core.text.terms import stems, terms
from memorag_core.types import Chunk, Document

BASINS = (
    "# Basins\n\n## Elm\n\nDug in 1902.\n\n### Fees\n\nA night costs 20.\n\n"
    "## Fir basin\n\nDug in 1905.\n\n### Fees\n\nA night costs 27.\n"
)
ROWS = [f"{name},{year},{crew}" for name, year, crew in zip("abcdef", range(1950, 1956), range(6), strict=True)]


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def chunks_of(text: str, limit: int = 20, pages: tuple[int, ...] = ()) -> list[Chunk]:
    return cut(Document("d", "Harbour", text, pages=pages), limit, words)


def first_for(query: str, texts: Sequence[str]) -> str:
    return texts[Bm25Retriever().index(texts, SILENT).search([query], 1)[0][0].chunk]


def test_a_passage_is_indexed_under_its_document_and_all_its_headings() -> None:
    fees = [chunk for chunk in chunks_of(BASINS, limit=8) if chunk.title == "Fees"]
    assert [chunk.headings for chunk in fees] == [("Basins", "Elm", "Fees"), ("Basins", "Fir basin", "Fees")]
    assert fees[1].indexed == "Harbour > Basins > Fir basin\n### Fees\n\nA night costs 27."
    assert all(BASINS[chunk.start : chunk.end] == chunk.text for chunk in chunks_of(BASINS))


@pytest.mark.parametrize("title", ["Ida Krog", "Lease KX-4471", "港口規則"])
def test_a_text_is_found_by_the_title_that_it_does_not_say(title: str) -> None:
    titles = ["Hans Juul", "Lease KX-4400", "渡輪規則", title]
    texts = [cut(Document("d", one, "Agreed at Bodo in 1974."), 20, words)[0].indexed for one in titles]
    assert first_for(f"What of {title} in 1974?", texts).startswith(title)


def test_two_sections_of_one_name_under_two_headings_are_two() -> None:
    one, other = [chunk for chunk in chunks_of(BASINS, limit=8) if chunk.title == "Fees"]
    assert not one.beside(other)


def test_small_sections_are_one_passage_with_the_one_above_and_are_still_found_by_name() -> None:
    elm, fir = chunks_of(BASINS, limit=40)
    assert (elm.headings, fir.headings) == (("Basins", "Elm"), ("Basins", "Fir basin"))
    assert fir.text == BASINS[BASINS.index("## Fir") :].strip()
    assert fir.lines_over(BASINS.rindex("A night")) == "Harbour > Basins > Fir basin > Fees"
    text = BASINS.replace("### Fees", "### Quay dues", 1)
    [link] = SectionTitles(chunks_of(text, limit=40)).find_mentions("What are the Quay dues?")
    assert link.chunk == 0


def test_a_heading_over_several_sections_names_each_passage_below_it_once() -> None:
    links = SectionTitles(chunks_of(BASINS, limit=40)).find_mentions("What is said of the Basins?")
    assert [link.chunk for link in links] == [0, 1]


def test_sections_without_one_above_and_of_two_pages_are_not_joined() -> None:
    assert len(chunks_of("# Oak\nA tree.\n# Ash\nA tree.", limit=40)) == 2
    text = "# Trees\n## Oak\nA tree.\n## Ash\nA tree."
    assert len(chunks_of(text, limit=40)) == 1
    assert len(chunks_of(text, limit=40, pages=(0, text.index("## Ash")))) == 2


def test_who_names_a_section_names_those_below_it() -> None:
    chunks = chunks_of(BASINS, limit=8)
    named = [chunks[link.chunk].headings for link in SectionTitles(chunks).find_mentions("What does Fir basin cost?")]
    assert named == [("Basins", "Fir basin"), ("Basins", "Fir basin", "Fees")]


def test_a_name_that_several_sections_bear_names_none_of_them() -> None:
    assert list(SectionTitles(chunks_of(BASINS)).find_mentions("What are the Fees?")) == []


@pytest.mark.parametrize("separator", [",", ";", "\t", " | "])
def test_a_passage_that_continues_a_table_has_its_header(separator: str) -> None:
    text = "\n".join(["vessel,built,crew", *ROWS]).replace(",", separator)
    first, *others = chunks_of(text, limit=10)
    header = "vessel,built,crew".replace(",", separator)
    assert first.header == ""
    assert others
    assert {chunk.header for chunk in others} == {header}
    assert all(header in chunk.indexed and header not in chunk.text for chunk in others)


def test_a_rule_marks_a_header_whatever_the_cells_are() -> None:
    [table] = find_tables("Text.\n\n| a1 | b2 |\n|---|---|\n| x | y |\n\nMore.")
    assert table.header == "| a1 | b2 |"


@pytest.mark.parametrize("text", ["a, b\nc, d\ne, f", "so, he\nleft,and\n\nlater,we", "1,2\n3,4\n5,6", ""])
def test_prose_and_rows_without_names_have_no_header(text: str) -> None:
    assert find_tables(text) == []


def test_a_text_of_more_passages_than_a_context_holds_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("memorag_core.context.encode.MOST_PASSAGES", 3)
    assert len(chunks_of("# a\nb\n" * 3)) == 3
    for text in ("# a\nb\n" * 4, "It rained. " * 40):
        with pytest.raises(InputError, match=r"more than 3 passages.*Split it into several"):
            chunks_of(text)


@pytest.mark.parametrize(
    ("pages", "passages"),
    [
        (
            ["The lamp burns oil.", "The flag is white", "and green."],
            ["The lamp burns oil.", "The flag is white\n\nand green."],
        ),
        (["One.", "Two.", "Three."], ["One.", "Two.", "Three."]),
        (["Flags\n- white\n- green", "Lamps\n- oil"], ["Flags\n- white\n- green", "Lamps\n- oil"]),
    ],
)
def test_a_passage_ends_with_its_page_but_where_a_sentence_goes_on(pages: list[str], passages: list[str]) -> None:
    text, starts = join_pages(pages)
    assert [chunk.text for chunk in chunks_of(text, pages=starts)] == passages


@pytest.mark.parametrize("exact", ["12.3", "11/03/2023", "2.10.3", "KX-4471", "read_pressure"])
def test_an_exact_string_is_found_among_texts_of_its_parts(exact: str) -> None:
    turned = " ".join(reversed(stems(exact)))
    assert first_for(f"What is {exact}?", [f"It is {turned}, {turned}.", f"It is {exact} here."]).endswith("here.")


@pytest.mark.parametrize("unseen", ["\u00ad", "\u200b", "\u2060", "\ufeff"])
def test_characters_that_are_not_seen_do_not_part_words(unseen: str) -> None:
    split = f"em{unseen}bankment"
    assert (terms(split), stems(split)) == (terms("embankment"), stems("embankment"))
