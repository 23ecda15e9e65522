"""Central sentences: whole, in order, those that share most words with the others; no more than fit."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from memorag_core.text.central import is_told, pick_sentences, weigh_sentences

TEXT = (
    "# The mill\n\nThe mill at Ardmouth grinds barley every winter. A heron was seen on a post once.\n"
    "The winter mill at Ardmouth grinds for every farm. Barley comes to the mill from every farm in winter.\n"
)


def count(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def test_the_sentences_that_share_most_words_are_picked_whole_and_in_order() -> None:
    assert pick_sentences(TEXT, 20, count).split("\n") == [
        "The mill at Ardmouth grinds barley every winter.",
        "The winter mill at Ardmouth grinds for every farm.",
    ]


def test_no_more_is_picked_than_fits_and_nothing_where_no_sentence_is_that_short() -> None:
    assert sum(count(pick_sentences(TEXT, 12, count).split("\n"))) <= 12
    assert pick_sentences(TEXT, 3, count) == ""
    assert pick_sentences("", 20, count) == ""


def test_a_question_and_a_cut_off_beginning_count_for_less() -> None:
    told, asked, cut = weigh_sentences(
        [f"{begin} mill grinds barley every winter{end}" for begin, end in (("The", "."), ("The", "?"), ("the", "."))]
    )
    assert told > max(asked, cut)


def test_a_focus_lifts_the_sentence_that_speaks_of_it() -> None:
    texts = ["The mill grinds barley every winter.", "A heron stood on a post.", "The mill is closed every summer."]
    assert max(range(3), key=weigh_sentences(texts).__getitem__) != 1
    assert max(range(3), key=weigh_sentences(texts, "heron and post").__getitem__) == 1


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("# The four gate pins", False),
        ("**Subject: four gate pins, Pell Mill**", False),
        ("**Terms of the four contracts:**", False),
        ("__The four gate pins__", False),
        ("**Never open the valve when it is hot.**", True),
        ("**Never open the valve when it is hot…**", True),
        ('**"Never open the valve when it is hot."**', True),
        ("**Terms of the four contracts (all)**", False),
        ("**Note** that both gate pins are worn", True),
        ("**Both** gate pins are **worn**", True),
    ],
)
def test_a_line_in_bold_that_is_no_sentence_tells_nothing(line: str, told: bool) -> None:
    assert is_told(line) == told
