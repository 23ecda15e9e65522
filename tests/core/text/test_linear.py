"""No text holds the interpreter for long, and no word makes a chunk of any size."""

from __future__ import annotations

import time

import pytest

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
