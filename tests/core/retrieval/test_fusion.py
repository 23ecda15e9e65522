"""Rankings of several queries become one."""

from __future__ import annotations

import pytest

from memorag_core.retrieval.base import Hit
from memorag_core.retrieval.fusion import FusedText, reciprocal_rank_fusion


def ranking(*chunks: int) -> list[Hit]:
    """Hits in that order; their own scores do not matter to the fusion."""
    return [Hit(chunk, -float(place)) for place, chunk in enumerate(chunks)]


def order(fused: list[FusedText]) -> list[int]:
    return [item.chunk for item in fused]


def test_one_ranking_stays_as_it_is() -> None:
    assert order(reciprocal_rank_fusion([ranking(7, 3, 5)], [1.0])) == [7, 3, 5]


def test_a_text_found_by_several_queries_beats_one_found_once_at_the_same_rank() -> None:
    fused = reciprocal_rank_fusion([ranking(1, 9), ranking(2, 9), ranking(9)], [1.0, 1.0, 1.0])
    assert order(fused)[0] == 9
    assert order(reciprocal_rank_fusion([ranking(4, 1), ranking(4, 2)], [1.0, 1.0])) == [4, 1, 2]


def test_each_text_comes_once_with_the_sum_of_its_reciprocal_ranks() -> None:
    fused = reciprocal_rank_fusion([ranking(1, 2), ranking(2, 1)], [1.0, 0.5])
    assert sorted(order(fused)) == [1, 2]
    assert fused[0].score == pytest.approx(1 / 11 + 0.5 / 12)


def test_a_heavier_query_decides() -> None:
    rankings = [ranking(1, 2), ranking(2, 1)]
    assert order(reciprocal_rank_fusion(rankings, [1.0, 0.5])) == [1, 2]
    assert order(reciprocal_rank_fusion(rankings, [0.5, 1.0])) == [2, 1]


def test_ties_are_settled_by_position_in_the_text_whatever_the_order_of_the_queries() -> None:
    assert order(reciprocal_rank_fusion([ranking(5), ranking(3)], [1.0, 1.0])) == [3, 5]
    assert order(reciprocal_rank_fusion([ranking(3), ranking(5)], [1.0, 1.0])) == [3, 5]


def test_found_by_names_the_queries_that_found_a_text_the_strongest_first() -> None:
    fused = reciprocal_rank_fusion([ranking(1, 2, 8), ranking(3), ranking(8), ranking(8)], [1.0, 1.0, 0.7, 1.0])
    assert {item.chunk: item.found_by for item in fused} == {8: (3, 0, 2), 1: (0,), 2: (0,), 3: (1,)}


@pytest.mark.parametrize("rankings", [[], [[], []]])
def test_nothing_found_gives_nothing(rankings: list[list[Hit]]) -> None:
    assert reciprocal_rank_fusion(rankings, [1.0] * len(rankings)) == []


def test_a_ranking_without_a_weight_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        reciprocal_rank_fusion([ranking(1), ranking(2)], [1.0])
