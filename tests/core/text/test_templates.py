"""A user's own templates replace the built-in ones, and one that would not work is refused with what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import STORY, tiny_settings

from memorag_core import MemoRAG, from_text
from memorag_core.errors import IncompatibleContext, InputError
from memorag_core.generation import LocalGenerator
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.text.prompts import BUILT_IN, CHINESE, ENGLISH, prompts_for, render_answer
from memorag_core.text.templates import NAMES, read_templates
from memorag_core.types import OnText

QUESTION = "When were the gates hung?"


def write(folder: Path, **templates: str) -> Path:
    """A folder of templates; `answer__zh` stands for `answer.zh.txt`."""
    folder.mkdir(exist_ok=True)
    for name, text in templates.items():
        (folder / f"{name.replace('__', '.')}.txt").write_text(text, encoding="utf-8")
    return folder


def test_a_file_replaces_one_template_of_one_language(tmp_path: Path) -> None:
    own = {"answer": "{question}? {{See}} {evidence}\n", "qa__zh": "\ufeff简答：{question}"}
    templates = read_templates(write(tmp_path, **own))
    assert render_answer(templates.en, "Why", ["a", "b"]) == "Why? {See} a\n\nb"
    assert prompts_for("为什么？", templates).qa == "简答：{question}"
    assert (templates.zh.answer, templates.en.qa) == (CHINESE.answer, ENGLISH.qa)


def test_without_a_folder_the_templates_are_the_built_in_ones() -> None:
    assert read_templates(None) is BUILT_IN


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_built_in_template_may_be_a_users_own(tmp_path: Path, name: str, language: str) -> None:
    write(tmp_path, **{f"{name}__{language}": getattr(getattr(BUILT_IN, language), name)})
    assert read_templates(tmp_path) == BUILT_IN


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("answers", "{question}", "answers.txt is no template's name.*one of: gist, memory"),
        ("answer__fr", "{evidence} {question}", "answer.fr.txt is no template's name"),
        ("answer", "{question}", r"has the fields {question}; it needs {evidence}, {question}"),
        ("answer", "{evidence} {question} {words}", r"{words}; it needs {evidence}, {question}, each.*and no other"),
        ("answer", "{evidence} {question!r}", r"{question!r}; it needs"),
        ("answer", "{evidence} {question:d}", r"{question:d}; it needs"),
        ("answer", "{evidence} {question.real}", r"{question.real}; it needs"),
        ("answer", "{evidence} {}", r"{evidence}, {}|{}, {evidence}; it needs"),
        ("answer", "", r"has the fields \(none\)"),
        ("answer", "{evidence} {question", "is no template.*Write a brace that is meant as such twice"),
        ("notes", "", "no template's name"),
    ],
)
def test_a_template_that_would_not_work_is_refused_with_what_is_allowed(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_templates(write(tmp_path, **{name: text}))


def test_a_folder_without_templates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    with pytest.raises(InputError, match="There is no template in"):
        read_templates(tmp_path)
    with pytest.raises(InputError, match="cannot be read from"):
        read_templates(tmp_path / "missing")
    (tmp_path / "answer.txt").write_bytes(b"caf\xe9 {question}")
    with pytest.raises(InputError, match="cannot be read as UTF-8"):
        read_templates(tmp_path)


def test_models_are_asked_in_the_users_own_words(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {name: f"MINE {getattr(ENGLISH, name)}" for name in NAMES}
    settings = tiny_settings(tiny_models, tmp_path).model_copy(update={"prompts": write(tmp_path / "own", **own)})
    asked: list[str] = []
    generate, ask, write_one = LanguageModel.generate, LanguageModel.ask, LocalGenerator.generate

    def spied(self: LanguageModel, instructions: list[str], *args: object, **more: object) -> list[str]:
        asked.extend(instructions)
        return generate(self, instructions, *args, **more)  # type: ignore[arg-type]  # passed on as they are

    def spied_asking(self: LanguageModel, instructions: list[str], *args: object, **more: object) -> list[str]:
        asked.extend(instructions)
        return ask(self, instructions, *args, **more)  # type: ignore[arg-type]  # passed on as they are

    def spied_writing(self: LocalGenerator, prompt: str, most: int, on_text: OnText) -> str:
        asked.append(prompt)
        return write_one(self, prompt, most, on_text)

    monkeypatch.setattr(LanguageModel, "generate", spied)
    monkeypatch.setattr(LanguageModel, "ask", spied_asking)
    monkeypatch.setattr(LocalGenerator, "generate", spied_writing)
    engine = MemoRAG(settings)
    info = engine.memorize([from_text(STORY * 4, "mill")])
    engine.answer(info.id, QUESTION)
    engine.answer(info.id, QUESTION, "qa")
    engine.summarize(info.id, "the gates")
    assert len(asked) >= 7
    assert all(prompt.startswith("MINE ") for prompt in asked)
    assert any("MINE  about the gates" in prompt for prompt in asked)


def test_templates_that_decide_the_memory_are_part_of_a_contexts_identity(tiny_models: Path, tmp_path: Path) -> None:
    plain = tiny_settings(tiny_models, tmp_path)
    asking = plain.model_copy(update={"prompts": write(tmp_path / "asking", answer=f"Please: {ENGLISH.answer}")})
    gists = plain.model_copy(update={"prompts": write(tmp_path / "gists", gist=f"Please: {ENGLISH.gist}")})
    info = MemoRAG(plain).memorize([from_text(STORY, "mill")])
    assert MemoRAG(asking).answer(info.id, QUESTION).evidence
    with pytest.raises(IncompatibleContext, match=r"gist\.en"):
        MemoRAG(gists).answer(info.id, QUESTION)
    assert MemoRAG(gists).memorize([from_text(STORY, "mill")]).id != info.id
