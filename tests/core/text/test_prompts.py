"""Models are asked in the language of the text, and what users write is passed on as it is."""

from __future__ import annotations

from dataclasses import fields
from string import Formatter

import pytest

from memorag_core.text.prompts import (
    CHINESE,
    ENGLISH,
    Prompts,
    language_of,
    prompts_for,
    render_answer,
    render_focus,
    render_summary,
)

BRACES = "a {question} in {0} braces {{}} and 100%"


def fields_in(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The mill stands by the pond.", "en"),
        ("王安石变法始于何时？", "zh"),
        ("《战国无双3》是由光荣和ω-force开发的 action game 续作", "zh"),
        ("The chancellor Wang Anshi (王安石) began the reforms of the Song dynasty.", "en"),
        ("1963, 12:30!", "en"),
        ("", "en"),
    ],
)
def test_the_language_is_that_of_the_letters(text: str, language: str) -> None:
    assert language_of(text) == language
    assert prompts_for(text) is {"en": ENGLISH, "zh": CHINESE}[language]


@pytest.mark.parametrize("name", [field.name for field in fields(Prompts)])
def test_both_languages_have_every_template_with_the_same_fields(name: str) -> None:
    english, chinese = getattr(ENGLISH, name), getattr(CHINESE, name)
    assert fields_in(english) == fields_in(chinese)
    assert (language_of(english), language_of(chinese)) == ("en", "zh")


@pytest.mark.parametrize("prompts", [ENGLISH, CHINESE])
def test_braces_in_questions_and_evidence_reach_the_model_as_they_are(prompts: Prompts) -> None:
    for rendered in (render_answer(prompts, BRACES, [BRACES]), render_summary(prompts, [BRACES], BRACES, 80)):
        assert rendered.count(BRACES) == 2


def test_an_answer_is_asked_over_all_its_evidence_in_order() -> None:
    rendered = render_answer(ENGLISH, "Who?", ["First passage.", "Second passage."])
    assert rendered.index("First passage.") < rendered.index("Second passage.") < rendered.index("Who?")


@pytest.mark.parametrize("prompts", [ENGLISH, CHINESE])
@pytest.mark.parametrize("focus", [None, ""])
def test_a_summary_without_a_focus_says_nothing_of_one(prompts: Prompts, focus: str | None) -> None:
    assert render_focus(prompts, focus) == ""
    assert "None" not in render_summary(prompts, ["Text."], focus, 80)


def test_a_summary_names_its_focus_and_length() -> None:
    assert "about the gates in about 120 words" in render_summary(ENGLISH, ["Text."], "the gates", 120)
    assert "120个字" in render_summary(CHINESE, ["文字。"], "闸门", 120)
    assert "关于闸门的" in render_summary(CHINESE, ["文字。"], "闸门", 120)
