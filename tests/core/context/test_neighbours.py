"""Passages are judged with those around them: of their paragraph, and in talk of their section."""

from __future__ import annotations

import pytest

from memorag_core.context.neighbours import REACH, SPOKEN, WRITTEN, NeighbourSmoother
from memorag_core.retrieval.base import Hit
from memorag_core.types import Chunk

SIZE = 10
TALK = "".join(f"{'AB'[n % 2]}: so {n:>3}\n" for n in range(40))


def surroundings(*titles: str, text: str = "", document: str = "d") -> NeighbourSmoother:
    """Of chunks of ten characters each, one after the other, under these titles."""
    text = text or "x" * SIZE * len(titles)
    spans = [(at * SIZE, (at + 1) * SIZE, title) for at, title in enumerate(titles)]
    return NeighbourSmoother(
        [Chunk(document, start, end, text[start:end], title) for start, end, title in spans], {document: text}
    )


def hits(*scores: float) -> list[Hit]:
    return [Hit(number, score) for number, score in enumerate(scores)]


def test_of_two_equal_passages_the_one_among_better_neighbours_is_first() -> None:
    smooth = surroundings(*["A"] * 5, *["B"] * 5).smooth(hits(0, 0, 1, 0, 0, 0.5, 0.5, 1, 0.5, 0.5))
    assert [hit.chunk for hit in smooth[:2]] == [7, 2]


def test_a_passage_alone_in_its_section_keeps_its_score() -> None:
    scored = hits(0.3, 0.9, 0.1)
    assert surroundings("A", "B", "C").smooth(scored) == sorted(scored, key=lambda hit: -hit.score)


def test_sections_of_one_title_in_two_documents_are_two() -> None:
    chunks = [Chunk(name, 0, SIZE, "x" * SIZE, "A") for name in "de"]
    assert NeighbourSmoother(chunks, dict.fromkeys("de", "x" * SIZE)).smooth(hits(1, 0)) == hits(1, 0)


def test_a_paragraph_ends_what_is_around_but_not_in_talk() -> None:
    prose = "It rained.\n\nIt snowed."
    chunks = [Chunk("d", start, end, prose[start:end]) for start, end in ((0, 10), (12, 22))]
    assert NeighbourSmoother(chunks, {"d": prose}).smooth(hits(1, 0)) == hits(1, 0)
    spaced = TALK.replace("\n", "\n\n")
    assert _of(surroundings("", "", text=spaced).smooth(hits(1, 0)), 0) == pytest.approx(SPOKEN)


def test_a_passage_counts_for_less_in_talk_than_in_prose() -> None:
    assert _of(surroundings("", "", text=TALK).smooth(hits(1, 0)), 0) == pytest.approx(SPOKEN)
    assert _of(surroundings("", "").smooth(hits(1, 0)), 0) == pytest.approx(WRITTEN)


def test_nearer_neighbours_weigh_more_and_those_out_of_reach_nothing() -> None:
    near, far, beyond = (
        surroundings(*["A"] * 20).smooth([Hit(10, 0.5), Hit(other, 1.0), *_zeros(10, other)])
        for other in (11, 10 + REACH, 11 + REACH)
    )
    assert _of(near, 10) > _of(far, 10) > _of(beyond, 10) == pytest.approx(WRITTEN * 0.5)


def test_a_neighbour_that_was_not_found_counts_as_the_last_found() -> None:
    smooth = surroundings("A", "A", "A").smooth([Hit(1, 4.0), Hit(2, 2.0)])
    assert _of(smooth, 1) == pytest.approx(WRITTEN * 4.0 + (1 - WRITTEN) * 2.0)


def test_nothing_found_gives_nothing() -> None:
    assert NeighbourSmoother([], {}).smooth([]) == []


def _zeros(*others: int) -> list[Hit]:
    return [Hit(number, 0.0) for number in range(20) if number not in others]


def _of(smooth: list[Hit], chunk: int) -> float:
    return next(hit.score for hit in smooth if hit.chunk == chunk)
