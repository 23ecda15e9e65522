"""Scores against values worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from memorag_core.evaluation.metrics import (
    answer_tokens,
    citation_hit,
    evidence_recall,
    exact_match,
    ndcg,
    overlap,
    rouge_l,
    token_f1,
    within,
)

TEXT = "one two three four five six seven eight nine ten"


def words(texts: Sequence[str]) -> list[int]:
    """A tokenizer: words."""
    return [len(text.split()) for text in texts]


@pytest.mark.parametrize(
    ("answer", "golds", "expected"),
    [
        ("The spirit", ["a spirit"], 1.0),
        ("an evil spirit", ["a spirit"], 2 / 3),  # precision 1/2, recall 1
        ("Paris", ["London", "in Paris"], 2 / 3),
        ("spirit spirit", ["spirit"], 2 / 3),  # a word counts as often as both have it
        ("nothing of it", ["Latin"], 0.0),
        ("", ["Latin"], 0.0),
        ("The", ["a"], 1.0),  # nothing is left of either
        ("Latin", [], 0.0),
        ("光荣公司", ["光荣和ω-force"], 4 / 9),  # 光 荣 of 光 荣 公 司 and 光 荣 和 ω force
        ("三茂铁路", ["《三茂铁路》。"], 1.0),
    ],
)
def test_token_f1_is_that_of_the_gold_answer_that_fits_best(answer: str, golds: list[str], expected: float) -> None:
    assert token_f1(answer, golds) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answer", "golds", "expected"),
    [
        ("The  Spirit!", ["spirit"], 1.0),
        ("spirits", ["spirit"], 0.0),
        ("364.6 公里", ["364.6公里。"], 1.0),
        ("x", [], 0.0),
    ],
)
def test_exact_match_forgives_case_punctuation_and_articles(answer: str, golds: list[str], expected: float) -> None:
    assert exact_match(answer, golds) == expected


def test_english_keeps_what_squad_keeps() -> None:
    assert answer_tokens("The U.S. don’t-know_it", chinese=False) == ["us", "don’tknowit"]


@pytest.mark.parametrize(
    ("answer", "golds", "expected"),
    [
        ("police killed the gunman", ["police kill the gunman"], 3 / 4),  # Lin (2004), section 3.1
        ("police the gunman killed", ["police killed the gunman"], 3 / 4),
        ("the gunman police killed", ["police killed the gunman"], 2 / 4),
        ("大陆打击乐", ["打击乐记谱"], 3 / 5),
        ("", ["x"], 0.0),
        ("short", ["a short summary", "long"], 1 / 2),
    ],
)
def test_rouge_l_follows_the_longest_common_subsequence(answer: str, golds: list[str], expected: float) -> None:
    assert rouge_l(answer, golds) == pytest.approx(expected)


def test_what_is_shown_is_whole_passages_then_the_part_that_still_fits() -> None:
    first, second, third = (0, 13), (14, 27), (28, 48)  # three, three and four words
    assert within([first, second, third], TEXT, 7, words) == [first, second, (28, 34)]
    assert within([third, first], TEXT, 5, words) == [third, (0, 4)]
    assert within([first, second], TEXT, 3, words) == [first]
    assert within([first], TEXT, 100, words) == [first]
    assert within([], TEXT, 5, words) == []


@pytest.mark.parametrize("tokens", range(1, 12))
def test_no_more_tokens_are_shown_than_the_budget(tokens: int) -> None:
    shown = within([(14, 27), (0, 13), (28, 48)], TEXT, tokens, words)
    assert sum(words([TEXT[start:end] for start, end in shown])) == min(tokens, 10)


def test_evidence_counts_where_more_than_half_of_it_is_shown() -> None:
    assert evidence_recall([(0, 10)], [(0, 5)]) == 0
    assert evidence_recall([(0, 10)], [(0, 6)]) == 1
    assert evidence_recall([(0, 10)], [(0, 3), (7, 10)]) == 1
    assert evidence_recall([(0, 10)], [(0, 4), (1, 5)]) == 0  # what two passages share counts once
    assert evidence_recall([(0, 10), (20, 30)], [(8, 28)]) == 0.5


def test_overlap_counts_each_character_once() -> None:
    assert overlap((10, 20), [(0, 12), (11, 13), (18, 30), (40, 50)]) == 5


def test_ndcg_is_one_for_the_best_order_and_falls_with_the_rank() -> None:
    chunks = [(0, 10), (10, 20), (20, 30)]
    gold = [(0, 10), (20, 25)]
    assert ndcg(gold, [(0, 10), (20, 30)], chunks) == 1
    found_late = (5 / math.log2(3) + 10 / math.log2(4)) / (10 + 5 / math.log2(3))
    assert ndcg(gold, [(10, 20), (20, 30), (0, 10)], chunks) == pytest.approx(found_late)
    assert ndcg(gold, [], chunks) == 0


def test_ndcg_gives_nothing_for_showing_a_passage_again() -> None:
    chunks = [(0, 10), (10, 20)]
    assert ndcg([(0, 20)], [(0, 10), (0, 10)], chunks) == ndcg([(0, 20)], [(0, 10)], chunks)


def test_ndcg_of_a_merged_passage_is_at_most_one() -> None:
    assert ndcg([(0, 20)], [(0, 20)], [(0, 10), (10, 20)]) == 1


def test_ndcg_looks_no_deeper_than_asked() -> None:
    chunks = [(10 * i, 10 * i + 10) for i in range(12)]
    assert ndcg([(110, 120)], chunks, chunks, depth=10) == 0


@pytest.mark.parametrize(
    ("citations", "expected"),
    [
        ([(2, 8)], 1.0),  # inside of the gold span
        ([(40, 60)], 1.0),  # the gold span is inside of it
        ([(5, 15)], 0.0),  # half of either is not more than half
        ([(4, 14)], 1.0),
        ([(20, 30), (4, 9)], 1.0),  # one of them is enough
        ([], 0.0),
    ],
)
def test_a_citation_hits_where_it_and_a_gold_span_share_most_of_the_shorter(
    citations: list[tuple[int, int]], expected: float
) -> None:
    assert citation_hit([(0, 10), (45, 50)], citations) == expected
