"""A generator that is too small to write answers with whole sentences of the text, and is told from one that writes."""

from __future__ import annotations

import textwrap

import pytest

from memorag_core.config import PROFILES, TINY_LM
from memorag_core.query.answerable import UNLIKELY, find_signs, likelihood
from memorag_core.query.extract import extract_answer, extract_summary, join_sentences
from memorag_core.text.source_text import SourceText
from memorag_core.text.terms import stems
from memorag_core.types import Chunk, Document, Passage

TEXT = textwrap.fill(
    "The lighthouse of Orre was lit for the first time on 3 May 1871, and its keeper was Haakon Brekke. "
    "It stands on a rock that the sea covers twice a day, so that stores are brought by boat. "
    "The harbour below it has a granary, which burnt down in 1921 and was built again in brick. "
    "A school for the children of the pilots was opened beside the granary in the year after.",
    64,
)


def passages(text: str) -> tuple[tuple[Passage, ...], SourceText]:
    half = text.index("It stands")
    chunks = [Chunk("book", start, end, text[start:end]) for start, end in ((0, half + 20), (half + 20, len(text)))]
    document = Document("book", "Orre", text)
    return tuple(Passage(chunk, 1.0, ()) for chunk in chunks), SourceText([document], chunks)


@pytest.mark.parametrize(
    ("question", "says", "on_topic"),
    [
        ("When was the lighthouse lit for the first time?", "3 May 1871", True),
        ("When did the granary burn down?", "1921", True),
        ("How many pupils has the school?", "school", False),
        ("Who designed the lighthouse tower?", "lighthouse", False),
    ],
)
def test_the_answer_is_a_whole_sentence_to_the_letter(question: str, says: str, on_topic: bool) -> None:
    evidence, texts = passages(TEXT)
    [extract] = extract_answer(question, evidence, (), texts)
    assert says in extract.text
    assert extract.text == TEXT[extract.place.start : extract.place.end]
    assert (extract.text[-1], extract.text[0].isupper()) == (".", True)
    assert (extract.claim(0).support == "borne out") == on_topic


def test_a_summary_is_sentences_in_the_order_of_the_text_without_its_line_breaks() -> None:
    evidence, texts = passages(TEXT)
    kept = extract_summary("", evidence[::-1], 60, texts)
    assert [extract.place.start for extract in kept] == sorted(extract.place.start for extract in kept)
    assert len(kept) > 1
    assert "\n" not in join_sentences(kept)
    assert all(" ".join(extract.text.split()) in join_sentences(kept) for extract in kept)


def test_a_profile_says_whether_its_generator_writes() -> None:
    assert PROFILES["tiny"].extracts
    assert not any(profile.extracts for name, profile in PROFILES.items() if name != "tiny")
    assert PROFILES["tiny"].memory_model == TINY_LM


def test_a_question_that_the_text_does_not_speak_of_is_told_by_its_score() -> None:
    bag = frozenset(stems(TEXT))
    spread = dict.fromkeys(bag, 1)
    assert likelihood(find_signs("When was the lighthouse of Orre lit?", [bag], spread, 9)) > 0.8
    assert likelihood(find_signs("Who is the president of the United States?", [bag], spread, 9)) < UNLIKELY


def test_a_question_of_two_steps_is_answered_by_the_sentence_of_each() -> None:
    parts = {
        "Ida Krog": "Ida Krog is the keeper of the lighthouse at Orre. She came by boat.",
        "Orre": "Orre is a harbour in the north. Its population was 6,960 at the census of 1911.",
        "Holm": "Holm is an island without a harbour. Its population was 12 at the census of 1911.",
    }
    text = "\n\n".join(f"# {title}\n{body}" for title, body in parts.items())
    starts = [text.index(body) for body in parts.values()]
    chunks = [
        Chunk("book", at, at + len(body), body, title) for at, (title, body) in zip(starts, parts.items(), strict=True)
    ]
    evidence = tuple(Passage(chunk, 1.0, ()) for chunk in chunks)
    texts = SourceText([Document("book", "Places", text)], chunks)
    asked = "What was the population at the census of the harbour whose lighthouse Ida Krog keeps?"
    found = extract_answer(asked, evidence, (), texts)
    assert [extract.text for extract in found] == [parts["Ida Krog"][:49], parts["Orre"][32:]]
    both = extract_answer("Are Orre and Holm islands?", evidence, (), texts)
    assert {extract.text.split()[0] for extract in both} == {"Orre", "Holm"}
