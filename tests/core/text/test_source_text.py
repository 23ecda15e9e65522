"""Words are found in the texts where they nearly stand, and nowhere else."""

from __future__ import annotations

import pytest

from memorag_core.context.encode import cut
from memorag_core.text.source_text import SourceText, numbers
from memorag_core.types import Document

ENGLISH = (
    "The mill stands at the head of the pond. Amos Reed hung its gates in May 1963, and 12,000 people came.\n"
    "The horn was sounded every night. On Monday the inspector came from Ardmouth. He asked for the weights of\n"
    "the pins, which nobody had written down."
)
CHINESE = (
    "磨坊矗立在池塘的源头。熙宁二年，王安石任参知政事，推行新法。司马光反对新法，退居洛阳十五年，编修《资治通鉴》。"
)
JAPANESE = "水車小屋は池のほとりに立っている。アモスは一九六三年五月に水門を取り付けた。毎晩、角笛が鳴らされた。"


def texts(*contents: str, limit: int = 40) -> SourceText:
    """Documents of those texts, in chunks of at most `limit` words or characters."""
    documents = [Document(f"d{number}", "Title", text) for number, text in enumerate(contents)]
    count = lambda pieces: [len(piece.split()) + len(piece) // 8 for piece in pieces]  # noqa: E731  # short
    return SourceText(documents, [chunk for document in documents for chunk in cut(document, limit, count)])


@pytest.mark.parametrize("limit", [22, 60, 200])
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("Amos Reed hung its gates in May 1963", "Amos Reed hung its gates in May 1963, and 12,000 people came."),
        ("AMOS REED hung the gates in May, 1963", "Amos Reed hung its gates in May 1963, and 12,000 people came."),
        (
            "Amos Reed hung its gates and 12000 people came",
            "Amos Reed hung its gates in May 1963, and 12,000 people came.",
        ),
        ("On monday, the inspector came from Ardmouth…", "On Monday the inspector came from Ardmouth."),
        ("the horn sounded every night", "The horn was sounded every night."),
        ("熙宁二年,王安石任参知政事", "熙宁二年，王安石任参知政事，推行新法。"),
        ("司马光反对新法，退居洛阳１５年，编修资治通鉴", None),
        ("司马光反对新法，退居洛阳十五年，编修资治通鉴", "司马光反对新法，退居洛阳十五年，编修《资治通鉴》。"),
        ("アモスは一九六三年五月に水門を取り付けました", "アモスは一九六三年五月に水門を取り付けた。"),
        ("Amos Reed hung its gates in June 1871", None),
        ("Amos Reed hung its gates in May 1964", None),
        ("Amos Reed hung its 2 gates in May 1963", None),
        ("熙宁三年，王安石任参知政事", None),
        ("アモスは一九六四年五月に水門を取り付けた", None),
        ("Nothing of this stands anywhere here", None),
        ("gates pond night the of came Monday pins", None),
        ("Amos Reed", None),
        ("", None),
    ],
)
def test_what_nearly_repeats_a_sentence_gets_that_sentence(words: str, sentence: str | None, limit: int) -> None:
    source = texts(ENGLISH, CHINESE, JAPANESE, limit=limit)
    place = source.find(words)
    assert (source.at(place) if place else None) == sentence


def test_two_sentences_are_found_as_two_though_chunks_part_them() -> None:
    source = texts(ENGLISH, limit=22)
    place = source.find("The horn was sounded every night. On Monday the inspector came from Ardmouth.")
    assert place
    assert source.at(place) == "The horn was sounded every night. On Monday the inspector came from Ardmouth."


def test_of_a_sentence_without_end_a_piece_is_found_on_word_borders() -> None:
    words = [f"word{letter}{other}" for letter in "abcdefghij" for other in "abcdefghij"]
    source = texts(" ".join(words), limit=500)
    place = source.find("rdea wordeb wordec worded wordee wordef wordeg")
    assert place
    assert source.at(place).split() in (words[41:46], words[41:47], words[40:46], words[40:47])


def test_words_scattered_over_documents_are_not_found() -> None:
    assert texts("Amos Reed hung", "its gates in May").find("Amos Reed hung its gates in May") is None


def test_a_line_broken_in_the_text_is_found_and_kept_as_it_is() -> None:
    source = texts("The keeper asked for\nthe weights of\nthe pins at noon.")
    place = source.find("the keeper asked for the weights of the pins at noon")
    assert place
    assert source.at(place) == "The keeper asked for\nthe weights of\nthe pins at noon."


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("In May 1963, 12,000 people and 3.5 dogs", ["1963", "12000", "3.5"]),
        ("Two of the twelve, ２０ and twenty", ["2", "12", "20", "twenty"]),
        ("熙宁二年三月, 2009年", ["2", "3", "2009"]),
        ("nobody", []),
    ],
)
def test_numbers_are_told_in_figures_and_words(text: str, found: list[str]) -> None:
    assert numbers(text) == found
