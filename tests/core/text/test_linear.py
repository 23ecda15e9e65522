"""No text holds the interpreter for long, and no word makes a chunk of any size."""

from __future__ import annotations

import re
import time

import pytest

from memorag_core.context import section_titles
from memorag_core.ingest import captions, html, html_tree, pdf
from memorag_core.text import tables
from memorag_core.text.chunking import CHARACTERS_A_TOKEN, sections, split
from memorag_core.text.ids import slug

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


RUN = 200_000
RUNS = [
    (section_titles._ASIDE, " "),
    (section_titles._ASIDE, "(a"),
    (captions._TIMES, "\n"),
    (captions._TIMES, "1 "),
    (captions._VOICE, "<v "),
    (captions._TAG, "<a"),
    (captions._TAG, "{\\"),
    (html._CHARSET, "<meta "),
    (html_tree._HIDDEN, "text-decoration"),
    (pdf._BROKEN, "a"),
]


@pytest.mark.parametrize(("pattern", "unit"), RUNS)
def test_an_expression_reads_a_long_run_in_linear_time(pattern: re.Pattern[str] | re.Pattern[bytes], unit: str) -> None:
    """What is quadratic takes minutes, and what is linear a hundredth of the bound."""
    text = unit * (RUN // len(unit)) + "!"
    started = time.thread_time()
    if isinstance(pattern.pattern, bytes):
        assert not list(re.finditer(pattern.pattern, text.encode(), pattern.flags))
    else:
        assert not list(re.finditer(pattern.pattern, text, pattern.flags))
    assert time.thread_time() - started < 3 * MOST_SECONDS


def test_rules_of_tables_and_times_of_captions_are_known_as_before() -> None:
    for rule in ("|---|---|", " --- | :--: ", "--", "| -- |", "|:--|--:| "):
        assert tables._RULE.fullmatch(rule), rule
    for other in ("|", "a | b", "- | -", "|| --", ""):
        assert not tables._RULE.fullmatch(other), other
    assert captions._TIMES.search("1\n  00:01.0 --> 00:02.0 align:left\nWords")
    assert section_titles._ASIDE.sub("", "Fees (2020) of  （a） all") == "Fees of all"
    assert captions._TAG.sub("", "<i>a</i> {\\an8}b <c.red>c") == "a b c"
