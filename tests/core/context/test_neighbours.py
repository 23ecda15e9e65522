"""Passages are judged alone, with those around them, and as parts of a long stretch: where they stand out most."""

from __future__ import annotations

import numpy as np

from memorag_core.context.neighbours import REACHES, NeighbourSmoother
from memorag_core.retrieval.base import Hit
from memorag_core.text.talk import Talk
from memorag_core.types import Chunk

SIZE = 10
TALK = "".join(f"{'AB'[n % 2]}: so {n:>3}\n" for n in range(40))


def surroundings(*titles: str, text: str = "", document: str = "d") -> NeighbourSmoother:
    """Of chunks of ten characters each, one after the other, under these titles."""
    text = text or "x" * SIZE * len(titles)
    spans, talk = [(at * SIZE, (at + 1) * SIZE, title) for at, title in enumerate(titles)], Talk.of(text)
    chunks = [
        Chunk(document, start, end, text[start:end], title, turns=talk.turns_in(start, end))
        for start, end, title in spans
    ]
    return NeighbourSmoother(chunks, {document: text})


def hits(*scores: float) -> list[Hit]:
    return [Hit(number, score) for number, score in enumerate(scores)]


def order(smooth: list[Hit]) -> list[int]:
    return [hit.chunk for hit in smooth]


def test_of_two_equal_passages_the_one_among_better_neighbours_is_first() -> None:
    smooth = surroundings(*["A"] * 5, *["B"] * 5).smooth(hits(0, 0, 1, 0, 0, 0.5, 0.5, 1, 0.5, 0.5))
    assert order(smooth)[0] == 7
    assert _of(smooth, 7) > _of(smooth, 2)


def test_passages_alone_in_their_sections_keep_their_order() -> None:
    assert order(surroundings("A", "B", "C").smooth(hits(0.3, 0.9, 0.1))) == [1, 0, 2]


def test_one_passage_far_above_all_others_stays_first_though_its_neighbours_are_poor() -> None:
    scores = [0.0] * 30
    scores[4], scores[20:26] = 3.0, [0.8] * 6
    assert order(surroundings(*["A"] * 30).smooth(hits(*scores)))[0] == 4


def test_a_long_stretch_of_fair_passages_comes_before_scattered_ones() -> None:
    noise = np.random.default_rng(0).uniform(0, 1, 60)
    noise[40:52] = 0.75
    assert set(order(surroundings(*["A"] * 60).smooth(hits(*noise.tolist())))[:5]) <= set(range(40, 52))


def test_of_a_broad_question_about_talk_a_stretch_counts_alone_and_of_prose_nothing_changes() -> None:
    scores = [0.0] * 40
    scores[4], scores[20:32] = 3.0, [0.8] * 12
    talk, prose = surroundings(*[""] * 40, text=TALK), surroundings(*["A"] * 40)
    assert talk.has_talk
    assert not prose.has_talk
    assert order(talk.smooth(hits(*scores)))[0] == 4
    assert set(order(talk.smooth(hits(*scores), broad=True))[:8]) <= set(range(20, 32))
    assert prose.smooth(hits(*scores), broad=True) == prose.smooth(hits(*scores))


def test_sections_of_one_title_in_two_documents_are_two() -> None:
    chunks = [Chunk(name, 0, SIZE, "x" * SIZE, "A") for name in "dee"]
    smooth = NeighbourSmoother(chunks, dict.fromkeys("de", "x" * SIZE)).smooth(hits(0, 1, 0))
    assert _of(smooth, 0) < _of(smooth, 2) < _of(smooth, 1)


def test_a_paragraph_ends_what_is_around_but_not_in_talk() -> None:
    prose = "It rained.\n\nIt snowed.\n\nIt hailed."
    chunks = [Chunk("d", start, start + 10, prose[start : start + 10]) for start in (0, 12, 24)]
    apart = NeighbourSmoother(chunks, {"d": prose}).smooth(hits(1, 0, 0))
    assert _of(apart, 1) == _of(apart, 2)
    together = surroundings("", "", "", text=TALK.replace("\n", "\n\n")).smooth(hits(1, 0, 0))
    assert _of(together, 1) > _of(together, 2)


def test_nearer_neighbours_weigh_more_and_those_out_of_reach_nothing() -> None:
    reach = max(REACHES)
    smooth = surroundings(*["A"] * 50).smooth(hits(1.0, *[0.0] * 49))
    assert _of(smooth, 1) > _of(smooth, reach) > _of(smooth, reach + 1) == _of(smooth, 49)


def test_a_neighbour_that_was_not_found_counts_as_the_last_found() -> None:
    assert order(surroundings(*["A"] * 3).smooth([Hit(1, 4.0), Hit(2, 2.0)])) == [1, 2]


def test_nothing_found_gives_nothing_and_one_passage_is_itself() -> None:
    assert NeighbourSmoother([], {}).smooth([]) == []
    assert order(surroundings("A").smooth(hits(0.5))) == [0]


def _of(smooth: list[Hit], chunk: int) -> float:
    return next(hit.score for hit in smooth if hit.chunk == chunk)
