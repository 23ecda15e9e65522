"""Sentences are whole also where lines are wrapped, and lines end sentences where they are not."""

from __future__ import annotations

import textwrap

import pytest

from memorag_core.text.passages import passages
from memorag_core.text.wrapped import is_wrapped, sentences_across_lines, whole_sentences

PROSE = (
    "The keeper climbed the stairs of the light every evening, and counted them under his breath as he went. "
    "On the gallery he stood for a while and looked over the water, which lay grey and flat as far as the bar. "
    "Nobody came that night. The lamp burned until morning, though the oil was low and the wick had not been trimmed."
)
WRAPPED = "\n\n".join(textwrap.fill(PROSE, 60) for _ in range(3))


def test_a_sentence_goes_on_over_wrapped_lines() -> None:
    assert is_wrapped(WRAPPED)
    found = [" ".join(WRAPPED[start:end].split()) for start, end in whole_sentences(WRAPPED, 0, len(WRAPPED))]
    assert found[:4] == [f"{part.rstrip('.')}." for part in PROSE.split(". ")]
    assert len(found) == 12


def test_a_sentence_is_whole_also_where_a_passage_ends_within_it() -> None:
    at = WRAPPED.index("gallery")
    [(start, end)] = whole_sentences(WRAPPED, at, at + 7)
    assert (WRAPPED[start:][:6], WRAPPED[:end][-8:]) == ("On the", "the bar.")


def test_lines_of_lists_and_tables_are_not_joined() -> None:
    rows = "\n".join(f"Vessel {number} | {number * 7} m | owner {number % 5}" for number in range(30))
    assert len(list(whole_sentences(rows, 0, len(rows)))) == 30
    notes = "\n".join(["Eggs", "Flour from the mill by the long bridge", "Milk", "Salt and a little pepper"] * 5)
    assert not is_wrapped(notes)


@pytest.mark.parametrize("between", [" | ", "\t", ","])
def test_rows_of_a_table_as_wide_as_wrapped_lines_are_not_joined(between: str) -> None:
    rows = [
        between.join([f"Vessel{number}", "1961", "19", "237", "Sund", "2019-01-03", "o" * 16]) for number in range(30)
    ]
    text = "\n".join(rows)
    assert is_wrapped(text)
    assert [text[start:end] for start, end in sentences_across_lines(text, 0, len(text))] == rows


def test_a_small_letter_goes_on_with_a_sentence() -> None:
    text = (
        'Orre Brands, Inc. is a maker of rope. "Is it strong?" asked the keeper. It is. but who would test it?\nno end'
    )
    found = [text[start:end] for start, end in whole_sentences(text, 0, len(text))]
    assert found[:2] == ["Orre Brands, Inc. is a maker of rope.", '"Is it strong?" asked the keeper.']
    assert found[-1] == "no end"
    small = "we came late. it rained. nobody was there."
    assert len(list(whole_sentences(small, 0, len(small)))) == 3


@pytest.mark.parametrize("width", [50, 66, 76])
@pytest.mark.parametrize("before", ["", "   "], ids=["novel", "RFC"])
def test_chunks_of_wrapped_text_end_with_sentences(width: int, before: str) -> None:
    wrapped = textwrap.fill(PROSE, width, initial_indent=before, subsequent_indent=before)
    text = "\n\n".join([wrapped] * 4)
    chunks = [text[start:end] for start, end in passages(text, 30, lambda texts: [len(t.split()) for t in texts])]
    assert len(chunks) > 6
    assert all(chunk.endswith(".") for chunk in chunks)


def test_what_is_longer_than_a_chunk_is_cut_where_a_line_ends() -> None:
    text = "\n".join(["no end of it goes on and on, and who would ever stop it by the sea"] * 40)
    assert is_wrapped(text)
    chunks = [text[start:end] for start, end in passages(text, 50, lambda texts: [len(t.split()) for t in texts])]
    assert all(chunk.startswith("no end") and chunk.endswith("sea") for chunk in chunks)


def test_a_heading_is_not_joined_to_the_text_below_it() -> None:
    text = f"# The light\n{WRAPPED}"
    [first, *_] = sentences_across_lines(text, 0, len(text))
    assert text[slice(*first)] == "# The light"
