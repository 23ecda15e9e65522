"""Rankings of several queries become one."""

from __future__ import annotations

import pytest

from memorag_core.retrieval.fusion import Found, Ranking, reciprocal_rank_fusion


def ranking(*chunks: int, weight: float = 1.0, by: str = "question") -> Ranking:
    """Chunks in that order."""
    return Ranking(dict.fromkeys(chunks, by), weight)


def order(fused: list[Found]) -> list[int]:
    return [item.chunk for item in fused]


def test_one_ranking_stays_as_it_is() -> None:
    assert order(reciprocal_rank_fusion([ranking(7, 3, 5)])) == [7, 3, 5]


def test_a_text_found_by_several_queries_beats_one_found_once_at_the_same_rank() -> None:
    fused = reciprocal_rank_fusion([ranking(1, 9), ranking(2, 9), ranking(9)])
    assert order(fused)[0] == 9
    assert order(reciprocal_rank_fusion([ranking(4, 1), ranking(4, 2)])) == [4, 1, 2]


def test_each_text_comes_once_with_the_sum_of_its_reciprocal_ranks() -> None:
    fused = reciprocal_rank_fusion([ranking(1, 2), ranking(2, 1, weight=0.5)])
    assert sorted(order(fused)) == [1, 2]
    assert fused[0].score == pytest.approx(1 / 11 + 0.5 / 12)
    assert fused[0].found_by == ("question",)  # both rankings are of the same query


def test_a_heavier_query_decides() -> None:
    assert order(reciprocal_rank_fusion([ranking(1, 2), ranking(2, 1, weight=0.5)])) == [1, 2]
    assert order(reciprocal_rank_fusion([ranking(1, 2, weight=0.5), ranking(2, 1)])) == [2, 1]


def test_ties_are_settled_by_position_in_the_text_whatever_the_order_of_the_queries() -> None:
    assert order(reciprocal_rank_fusion([ranking(5), ranking(3)])) == [3, 5]
    assert order(reciprocal_rank_fusion([ranking(3), ranking(5)])) == [3, 5]


def test_found_by_names_the_queries_that_found_a_text_the_strongest_first() -> None:
    rankings = [
        ranking(1, 2, 8, by="a"),
        ranking(3, by="b"),
        ranking(8, by="c", weight=0.7),
        ranking(8, by="d"),
    ]
    found_by = {item.chunk: item.found_by for item in reciprocal_rank_fusion(rankings)}
    assert found_by == {8: ("d", "a", "c"), 1: ("a",), 2: ("a",), 3: ("b",)}


@pytest.mark.parametrize("rankings", [[], [ranking(), ranking()]])
def test_nothing_found_gives_nothing(rankings: list[Ranking]) -> None:
    assert reciprocal_rank_fusion(rankings) == []
