"""Two retrievers as one: how far a score stands out decides, not its rank."""

from __future__ import annotations

import pytest

from memorag_core.retrieval.base import Hit
from memorag_core.retrieval.hybrid import fuse_zscores


def ranking(*scores: float) -> list[Hit]:
    """Hits of texts 0, 1 …, best first."""
    return sorted((Hit(text, score) for text, score in enumerate(scores)), key=lambda hit: (-hit.score, hit.chunk))


def order(*rankings: list[Hit]) -> list[int]:
    return [hit.chunk for hit in fuse_zscores(rankings)]


SURE = ranking(0.1, 9.0, *(0.01 * text for text in range(18)))
UNSURE = ranking(0.52, 0.50, *(0.50 + 0.001 * text for text in range(18)))


def test_one_ranking_stays_as_it_is() -> None:
    assert order(SURE) == [hit.chunk for hit in SURE]


def test_a_score_that_stands_out_beats_one_that_hardly_does() -> None:
    assert UNSURE[0].chunk != 1
    assert order(SURE, UNSURE)[0] == order(UNSURE, SURE)[0] == 1


def test_the_scale_of_a_retriever_does_not_matter() -> None:
    scaled = [Hit(hit.chunk, 1000 * hit.score - 7) for hit in SURE]
    assert order(scaled, UNSURE) == order(SURE, UNSURE)


def test_a_ranking_of_equal_scores_says_nothing() -> None:
    assert order(SURE, ranking(*[1.0] * 20)) == order(SURE)


def test_a_text_that_one_of_them_did_not_find_counts_as_its_last() -> None:
    short = [Hit(0, 2.0), Hit(4, 1.0)]
    assert order(SURE, short) == order(SURE, [*short, *(Hit(text, 1.0) for text in range(20) if text not in (0, 4))])


@pytest.mark.parametrize("rankings", [[[]], [[], []]])
def test_nothing_found_gives_nothing(rankings: list[list[Hit]]) -> None:
    assert fuse_zscores(rankings) == []


def test_texts_that_nothing_tells_apart_keep_their_order() -> None:
    assert order(ranking(1.0, 1.0), []) == [0, 1]
