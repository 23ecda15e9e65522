"""Many passages become one text: each topic gets its turn, and what does not fit is summarized in groups."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from memorag_core.generation import Generator
from memorag_core.query.summarize import MOST_PARTS, SummaryRequest, interleave, map_reduce
from memorag_core.text.prompts import ENGLISH
from memorag_core.types import Chunk, OnText, Passage, ignore_text


class Words(Generator):
    """Counts words, and keeps the first words of each text it is asked to summarize."""

    model_id = "words"

    def __init__(self, kept: int = 4) -> None:
        self.kept = kept
        self.prompts: list[str] = []

    def generate(self, prompt: str, max_new_tokens: int, on_text: OnText = ignore_text) -> str:
        self.prompts.append(prompt)
        return " ".join(prompt.split()[: min(self.kept, max_new_tokens)])

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


def passage(name: str, query: str = "q", words: int = 10) -> Passage:
    text = " ".join([name] * words)
    return Passage(Chunk("d", ord(name[0]) * 1000, ord(name[0]) * 1000 + len(text), text), 1.0, (query,))


def wanted(room: int, words: int = 20) -> SummaryRequest:
    return SummaryRequest(ENGLISH, None, words, room)


def names(passages: tuple[Passage, ...]) -> str:
    return "".join(passage.chunk.text[0] for passage in passages)


def test_every_topic_gets_a_passage_before_any_gets_a_second() -> None:
    found = [[passage(name) for name in row] for row in ("abc", "def", "g")]
    assert names(interleave(found, 50, Words().count)) == "adgbe"


def test_a_passage_that_two_topics_find_is_shown_once_by_the_first_that_found_it() -> None:
    found = [[passage("a", "one"), passage("b", "one")], [passage("a", "two"), passage("c", "two")]]
    kept = interleave(found, 999, Words().count)
    assert [(item.chunk.text[0], item.found_by) for item in kept] == [("a", ("one",)), ("b", ("one",)), ("c", ("two",))]


def test_what_is_too_large_for_what_is_left_makes_room_for_what_is_not() -> None:
    assert names(interleave([[passage("a"), passage("b", words=90), passage("c")]], 25, Words().count)) == "ac"
    assert names(interleave([[passage("a", words=90)]], 25, Words().count)) == "a"
    assert interleave([], 25, Words().count) == ()


def test_texts_that_fit_are_shown_as_they_are() -> None:
    generator = Words()
    assert map_reduce(["a b", "c d"], wanted(4), generator.count, generator.generate) == ["a b", "c d"]
    assert generator.prompts == []


@pytest.mark.parametrize("count", [3, 7, 40])
def test_texts_that_do_not_fit_become_summaries_that_do_in_their_order(count: int) -> None:
    generator = Words()
    texts = [f"{number} {number} {number} {number} {number}" for number in range(count)]
    kept = map_reduce(texts, wanted(12), generator.count, generator.generate)
    assert sum(generator.count(kept)) <= 12
    assert [int(text.split()[0]) for text in kept] == sorted(int(text.split()[0]) for text in kept)
    assert all(len(prompt.split()) < 12 + 30 for prompt in generator.prompts)


def test_a_generator_that_writes_too_much_does_not_keep_it_from_ending() -> None:
    generator = Words(kept=99)
    assert len(map_reduce(["a b c d e f"] * 9, wanted(4), generator.count, generator.generate)) == 1


@pytest.mark.parametrize(
    ("words", "characters", "parts"),
    [(80, 50_000, 1), (80, 500_000, 3), (500, 50_000, 3), (2000, 50_000_000, MOST_PARTS)],
)
def test_a_longer_text_or_summary_rests_on_more_evidence(words: int, characters: int, parts: int) -> None:
    assert wanted(700, words).parts(characters) == parts
