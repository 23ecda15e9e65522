"""Ids that a person would choose, from any title."""

from __future__ import annotations

import pytest

from memorag_core.errors import InputError
from memorag_core.text.ids import MAX_ID, slug, unique


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Annual Report 2023", "annual-report-2023"),
        ("  The mill: its gates, & its keeper!  ", "the-mill-its-gates-its-keeper"),
        ("snake_case.and-more", "snake-case-and-more"),
        ("Café Müller à Łódź", "café-müller-à-łódź"),
        ("Cafe\u0301", "café"),
        ("《三国演义》第一回", "三国演义-第一回"),
        ("ＦＵＬＬ　ｗｉｄｔｈ１", "full-width1"),
        ("../../etc/passwd", "etc-passwd"),
    ],
)
def test_a_title_becomes_its_words_joined_by_hyphens(title: str, expected: str) -> None:
    assert slug(title) == expected
    assert slug(expected) == expected, "an id stands for itself"


@pytest.mark.parametrize(
    "title",
    ["a" * 500, "word " * 100, "三国演义" * 50, "\U00020000" * 100],
    ids=["one-word", "words", "chinese", "rare-chinese"],
)
def test_a_long_title_gives_an_id_that_fits_a_file_name(title: str) -> None:
    short = slug(title)
    assert len(short) <= MAX_ID
    assert len(f"forgotten-{2**31}-{short}".encode()) <= 255
    assert not short.endswith("-")


@pytest.mark.parametrize("title", ["", "   ", "***", "_-_", "。，！", "🦙"])
def test_a_name_without_a_letter_or_digit_is_refused_with_an_example(title: str) -> None:
    with pytest.raises(InputError, match="holds no letter or digit; choose one such as 'annual-report'"):
        slug(title)


@pytest.mark.parametrize(
    ("taken", "expected"),
    [(set(), "mill"), ({"mill"}, "mill-2"), ({"mill", "mill-2", "mill-4"}, "mill-3"), ({"mill-2"}, "mill")],
)
def test_a_taken_name_gets_the_next_free_number(taken: set[str], expected: str) -> None:
    assert unique("mill", taken) == expected
