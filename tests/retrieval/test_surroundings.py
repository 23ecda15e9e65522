"""Passages are judged with those around them in their section."""

from __future__ import annotations

import pytest

from memorag_core.retrieval.base import Hit
from memorag_core.retrieval.surroundings import OWN, REACH, Surroundings
from memorag_core.types import Chunk


def chunks(*titles: str, document: str = "d") -> list[Chunk]:
    return [Chunk(document, at, at + 1, "x", title) for at, title in enumerate(titles)]


def hits(*scores: float) -> list[Hit]:
    return [Hit(number, score) for number, score in enumerate(scores)]


def test_of_two_equal_passages_the_one_among_better_neighbours_is_first() -> None:
    judged = Surroundings(chunks(*["A"] * 5, *["B"] * 5)).judged(hits(0, 0, 1, 0, 0, 0.5, 0.5, 1, 0.5, 0.5))
    assert [hit.chunk for hit in judged[:2]] == [7, 6]


def test_a_passage_alone_in_its_section_keeps_its_score() -> None:
    scored = hits(0.3, 0.9, 0.1)
    assert Surroundings(chunks("A", "B", "C")).judged(scored) == sorted(scored, key=lambda hit: -hit.score)


def test_sections_of_one_title_in_two_documents_are_two() -> None:
    both = [*chunks("A"), *chunks("A", document="e")]
    assert Surroundings(both).judged(hits(1, 0)) == hits(1, 0)


def test_nearer_neighbours_weigh_more_and_those_out_of_reach_nothing() -> None:
    near, far, beyond = (
        Surroundings(chunks(*["A"] * 20)).judged([Hit(10, 0.5), Hit(other, 1.0), *_zeros(10, other)])
        for other in (11, 10 + REACH, 11 + REACH)
    )
    assert _of(near, 10) > _of(far, 10) > _of(beyond, 10) == pytest.approx(OWN * 0.5)


def test_a_neighbour_that_was_not_found_counts_as_the_last_found() -> None:
    judged = Surroundings(chunks("A", "A", "A")).judged([Hit(1, 4.0), Hit(2, 2.0)])
    assert _of(judged, 1) == pytest.approx(OWN * 4.0 + (1 - OWN) * 2.0)


def test_nothing_found_gives_nothing() -> None:
    assert Surroundings([]).judged([]) == []


def _zeros(*others: int) -> list[Hit]:
    return [Hit(number, 0.0) for number in range(20) if number not in others]


def _of(judged: list[Hit], chunk: int) -> float:
    return next(hit.score for hit in judged if hit.chunk == chunk)
