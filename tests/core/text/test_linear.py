"""No text holds the interpreter for long, and no word makes a chunk of any size."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from memorag_core.context import section_titles
from memorag_core.ingest import captions, pdf
from memorag_core.text import tables
from memorag_core.text.chunking import CHARACTERS_A_TOKEN, sections, split
from memorag_core.text.ids import slug
from memorag_core.text.values import read_values

MOST_SECONDS = 0.3


def test_a_heading_of_spaces_is_read_at_once_and_closing_marks_are_no_words_of_it() -> None:
    assert [s.title for s in sections("# a" + " " * 100_000 + "b\ntext")] == ["a" + " " * 79]
    text = "# a b ##\nx\n## # \ny\n# c#\nz\n#  #\nw\n## a # #\nq"
    assert [section.title for section in sections(text)] == ["a b", "#", "c", "#", "a #"]


@pytest.mark.parametrize("text", ["0f" * 8000, "TAG" * 5000, ("x" * 150 + " ") * 200], ids=["hex", "DNA", "long words"])
def test_chunks_are_bounded_in_characters_where_the_tokenizer_takes_any_word_for_one_token(text: str) -> None:
    spans = split(text, 100, lambda texts: [len(text.split()) for text in texts])
    assert max(end - start for start, end in spans) <= 100 * CHARACTERS_A_TOKEN
    assert "".join(text[start:end] for start, end in spans).replace(" ", "") == text.replace(" ", "")


def test_a_name_of_marks_is_cut_before_it_is_normalized() -> None:
    started = time.thread_time()
    assert slug("a" + "\u0301" * 200_000) == "á"
    assert time.thread_time() - started < MOST_SECONDS


@pytest.mark.parametrize(
    "text",
    ["9" * 20_000, "九" * 20_000, "9" * 20_000 + ".5 kg", "1/" + "9" * 20_000],
    ids=["figures", "Chinese", "decimal", "part"],
)
def test_a_number_of_any_length_is_read(text: str) -> None:
    assert read_values(f"It is {text} today.").rest


def test_words_that_a_line_broke_are_mended_in_linear_time() -> None:
    text = "so well-known and self\ufffe\nmade, a well\ufffe\nknown man of re\ufffe\nading " + "a\ufffe\nb " * 20_000
    started = time.thread_time()
    assert pdf.mend_words(text).startswith("so well-known and self-made, a well-known man of reading ab ab")
    assert time.thread_time() - started < 3 * MOST_SECONDS


def test_long_texts_without_breaks_are_cut_without_looking_through_all_of_them() -> None:
    counted: list[int] = []

    def count(texts: Sequence[str]) -> list[int]:
        counted.append(max(map(len, texts), default=0))
        return [len(text) // 2 for text in texts]

    assert len(split("x" * 1_000_000, 100, count)) > 5000
    assert max(counted) <= 100 * CHARACTERS_A_TOKEN


def test_rules_of_tables_and_times_of_captions_are_known_as_before() -> None:
    for rule in ("|---|---|", " --- | :--: ", "--", "| -- |", "|:--|--:| "):
        assert tables._RULE.fullmatch(rule), rule
    for other in ("|", "a | b", "- | -", "|| --", ""):
        assert not tables._RULE.fullmatch(other), other
    assert captions._TIMES.search("1\n  00:01.0 --> 00:02.0 align:left\nWords")
    assert section_titles._ASIDE.sub("", "Fees (2020) of  （a） all") == "Fees of all"
    assert captions._TAG.sub("", "<i>a</i> {\\an8}b <c.red>c") == "a b c"
