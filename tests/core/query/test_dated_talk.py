"""What was said `yesterday` is answered with the day, where the talk is dated; and such an answer is borne out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memorag_core.query.evidence import date_words
from memorag_core.query.extract import extract_answer, join_sentences
from memorag_core.query.grounding import ShownPassage, judge_answer
from memorag_core.text.source_text import SourceText
from memorag_core.text.talk import Talk
from memorag_core.types import Chunk, Document, Passage

TITLE = "Session 1, 1:56 pm on 8 May, 2023"
TALK = (
    "Mel: Hello! What is new?\n"
    "Caroline: I went to a support group yesterday and it was powerful.\n"
    "Mel: I signed up for a pottery class.\n"
    "Caroline: I ran a marathon in June 2021.\n"
)
CHUNK = Chunk("chat", 0, len(TALK), TALK, TITLE)
TEXTS = SourceText([Document("chat", "Chat", TALK)], [CHUNK])
SHOWN = [ShownPassage.of(CHUNK, TALK)]


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("When did Caroline go to a support group?", "support group yesterday [7 May 2023] and it was powerful."),
        ("When did Mel sign up for a pottery class?", f"pottery class. [{TITLE}]"),
        ("When did Caroline run a marathon?", "a marathon in June 2021."),
        ("What did Mel sign up for?", "for a pottery class."),
    ],
)
def test_an_extract_says_the_day(question: str, says: str) -> None:
    found = extract_answer(question, [Passage(CHUNK, 1.0, ())], (), TEXTS)
    assert join_sentences(found).endswith(says)
    [extract] = found
    assert extract.claim(0).support == "borne out"
    assert "[" not in TEXTS.at(extract.place)


def test_an_extract_says_whose_words_it_is_where_its_turn_began_before() -> None:
    text = f"{TALK}Mel: That is great. My brother runs too, every Sunday of the year.\n"
    chunk = replace(CHUNK, end=len(text), text=text, turns=Talk.of(text * 3).turns_in(0, len(text)))
    texts = SourceText([Document("chat", "Chat", text)], [chunk])
    evidence = [Passage(chunk, 1.0, ())]
    [extract] = extract_answer("Who runs every Sunday of the year?", evidence, (), texts)
    assert extract.text == "[Mel] My brother runs too, every Sunday of the year."
    assert texts.at(extract.place) == extract.text.removeprefix("[Mel] ")
    [extract] = extract_answer("Who ran a marathon?", evidence, (), texts)
    assert extract.text.startswith("Caroline: I ran a marathon")


def test_a_turn_ends_with_its_section() -> None:
    text = "Ann: hello. All is well.\n# Then\nNobody speaks here."
    chunk = Chunk("chat", 0, len(text), text, below=((0, ()), (text.index("#"), ("Then",))), turns=((0, "Ann"),))
    assert [chunk.speaker_at(text.index(word)) for word in ("Ann", "All", "Nobody")] == ["", "Ann", ""]
    assert replace(chunk, start=5, text=text[5:], turns=(), speaker="Ann").speaker_at(text.index("All")) == "Ann"


def test_a_generator_is_shown_the_day() -> None:
    shown = date_words(CHUNK).shown
    assert "support group yesterday [7 May 2023] and" in shown
    assert shown.startswith(TITLE)


@pytest.mark.parametrize(
    ("answer", "support"),
    [
        ("Caroline went to a support group on 7 May 2023.", "borne out"),
        ("Caroline went to a support group yesterday.", "borne out"),
        ("Caroline went to a support group on 6 May 2023.", "not found"),
        ("Caroline went to a support group on 7 May 2022.", "not found"),
        ("Caroline went to a support group on 8 May 2023.", "words found"),
    ],
)
def test_an_answer_with_the_day_is_borne_out_and_with_another_it_is_not(answer: str, support: str) -> None:
    [judged] = judge_answer(answer, "When did Caroline go to a support group?", SHOWN)
    assert judged.support == support


@pytest.mark.parametrize(
    "answer", ["Caroline met 7 friends.", "Caroline met seven friends.", "Caroline met 7 kg of friends."]
)
@pytest.mark.parametrize("said", ["yesterday", "last week", "on [7 May 2023]"])
def test_the_day_of_a_note_is_no_number_of_other_things(answer: str, said: str) -> None:
    text = f"Caroline met friends {said}."
    shown = [ShownPassage.of(Chunk("chat", 0, len(text), text, "Session, 9 May 2023"), text)]
    [judged] = judge_answer(answer, "How many friends did Caroline meet?", shown)
    assert judged.support == "not found"


@pytest.mark.parametrize(
    ("text", "support"),
    [
        ("The mill was built by monks of the abbey.", "words found"),
        ("We built the mill with monks of the abbey.", "borne out"),
        ("The mill was built last year by monks of the abbey.", "borne out"),
    ],
)
def test_the_day_of_a_text_is_not_that_of_what_it_tells_of_others(text: str, support: str) -> None:
    chunk = Chunk("guide", 0, len(text), text, "Guide, 8 May 2023")
    texts = SourceText([Document("guide", "Guide", text)], [chunk])
    [extract] = extract_answer("When was the mill built?", [Passage(chunk, 1.0, ())], (), texts)
    assert extract.claim(0).support == support
