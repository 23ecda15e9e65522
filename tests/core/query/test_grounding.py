"""An answer is borne out by the evidence or is not: its words, numbers and names, near each other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from memorag_core.query.grounding import ShownPassage, judge_answer

ENGLISH = [
    "The mill stands at the head of the pond. Amos Reed hung its gates in May 1963. The horn was sounded every night.",
    "On Monday the inspector came from Ardmouth. He asked for the weights of three pins, which Ida Boyd knew.",
]
CHINESE = ["熙宁二年，王安石任参知政事，推行新法。司马光反对新法，退居洛阳十五年，编修《资治通鉴》。"]
JAPANESE = ["水車小屋は池のほとりに立っている。アモスは一九六三年五月に水門を取り付けた。"]
PAIRS = Path(__file__).parent / "fixtures" / "pairs.jsonl"


def unsupported_claims(answer: str, question: str, passages: Sequence[str]) -> tuple[str, ...]:
    judged = judge_answer(answer, question, [ShownPassage(passage) for passage in passages])
    return tuple(one.claim for one in judged if one.support != "borne out")


def test_pairs_written_before_the_rules_are_judged_as_a_reader_does() -> None:
    pairs = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    flagged = [
        bool(unsupported_claims(pair["answer"], pair["question"], pair["evidence"].split("\n\n"))) for pair in pairs
    ]
    wrong = [pair for pair, flag in zip(pairs, flagged, strict=True) if pair["right"] == flag]
    assert wrong == []


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Who hung the gates?", "Amos Reed."),
        ("Who hung the gates?", "Amos Reed hung the gates of the mill."),
        ("When were the gates hung?", "In May 1963"),
        ("When were the gates hung?", "The gates were hung in 1963. The horn sounded nightly every night."),
        ("How many pins were there?", "3"),
        ("How often did it sound?", "Every night, the horn was sounded."),
        ("Did the inspector ask for weights?", "Yes."),
        ("Did the inspector ask for weights?", "Yes, the weights of the pins."),
    ],
)
def test_what_the_evidence_says_is_supported(question: str, answer: str) -> None:
    assert unsupported_claims(answer, question, ENGLISH) == ()


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Who hung the gates?", "John Smith hung the gates."),
        ("When were the gates hung?", "In May 1964."),
        ("When were the gates hung?", "In 1963, on 12 May."),
        ("How many pins were there?", "Four pins"),
        ("Who wrote the weights down?", "Amos Boyd"),  # each name is there, but not near the other
        ("Why was the mill built?", "To grind barley for the brewery."),
        ("Is the emperor of Japan married?", "Yes"),
        ("Is the emperor of Japan married?", "No."),
        ("Who hung the gates?", "I could not find that anywhere."),
    ],
)
def test_what_the_evidence_does_not_say_is_not(question: str, answer: str) -> None:
    assert unsupported_claims(answer, question, ENGLISH) == (answer,)


@pytest.mark.parametrize(
    ("question", "answer", "supported"),
    [
        ("谁反对新法？", "司马光", True),
        ("谁反对新法？", "苏轼和欧阳修", False),
        ("王安石什么时候任参知政事？", "熙宁二年", True),
        ("王安石什么时候任参知政事？", "熙宁三年", False),
        ("王安石推行新法吗？", "是的。", True),
    ],
)
def test_chinese_answers_are_checked(question: str, answer: str, supported: bool) -> None:
    assert (unsupported_claims(answer, question, CHINESE) == ()) == supported


@pytest.mark.parametrize(
    ("answer", "supported"), [("一九六三年五月", True), ("一九六四年五月", False), ("角笛が鳴った", False)]
)
def test_japanese_answers_are_checked(answer: str, supported: bool) -> None:
    assert (unsupported_claims(answer, "いつ水門を取り付けたか。", JAPANESE) == ()) == supported


def test_the_sentence_that_is_invented_is_told_among_those_that_are_not() -> None:
    invented = "He was paid nine pounds in Leeds."
    answer = f"Amos Reed hung the gates in May 1963. {invented} The inspector came from Ardmouth."
    assert unsupported_claims(answer, "What happened?", ENGLISH) == (invented,)


def test_without_evidence_nothing_is_supported() -> None:
    assert unsupported_claims("Yes.", "Is it so?", []) == ("Yes.",)
    assert unsupported_claims("Amos Reed", "Who?", ["", " "]) == ("Amos Reed",)
