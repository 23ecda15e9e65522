"""Sets are read in every known format, and what is in none is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from memorag_core.errors import InputError
from memorag_core.evaluation.datasets import Question, choose, read_sets, split_of

OWN = {"id": "q1", "context": "doc", "question": "Who?", "answers": ["Amos"], "evidence": [[0, 4]]}
LONGBENCH = {
    "input": "Who?", "context": "Amos did.", "answers": ["Amos"], "length": 2, "dataset": "hotpotqa",
    "language": "en", "all_classes": None, "_id": "7b1",
}  # fmt: skip
ULTRADOMAIN = {
    "input": "Who?", "context": "Amos did.", "answers": ["Amos"], "length": 2, "context_id": "c0", "_id": "7b1",
    "label": "cs", "meta": {"title": "T", "authors": "A"},
}  # fmt: skip
INFINITEBENCH = {"id": 3, "context": "Amos did.", "input": "Who?", "answer": ["Amos"], "options": []}


def written(folder: Path, *rows: Any, name: str = "questions.jsonl") -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "doc.txt").write_bytes("Amos did.\r\nÜber".encode())
    return tmp_path / "set"


def test_the_own_format_keeps_texts_to_the_letter_and_evidence_as_spans(folder: Path) -> None:
    [one] = read_sets(written(folder, OWN, OWN | {"id": "q2", "evidence": []}))
    assert (one.name, dict(one.contexts), one.left_out) == ("set", {"doc": "Amos did.\r\nÜber"}, 0)
    assert one.questions[0] == Question("q1", "doc", "Who?", ("Amos",), ((0, 4),))
    assert one.questions[1].evidence == ()


@pytest.mark.parametrize(
    ("row", "name"),
    [(LONGBENCH, "7b1"), (ULTRADOMAIN, "7b1"), (INFINITEBENCH, "3"), (INFINITEBENCH | {"answer": "Amos"}, "3")],
)
def test_public_formats_are_told_by_their_fields(tmp_path: Path, row: dict[str, Any], name: str) -> None:
    [one] = read_sets(written(tmp_path, row, name="cs.jsonl"))
    [question] = one.questions
    assert (one.name, question.id, question.text, question.answers) == ("cs", name, "Who?", ("Amos",))
    assert one.contexts[question.context] == "Amos did."


def test_every_file_of_a_public_folder_is_a_set_and_equal_texts_are_one_context(tmp_path: Path) -> None:
    written(tmp_path, ULTRADOMAIN, ULTRADOMAIN | {"input": "When?"}, name="cs.jsonl")
    written(tmp_path, ULTRADOMAIN | {"context": "Other."}, name="art.jsonl")
    art, cs = read_sets(tmp_path)
    assert (art.name, cs.name, len(cs.contexts)) == ("art", "cs", 1)
    assert [question.id for question in cs.questions] == ["7b1", "7b1-2"]


def test_options_are_part_of_the_question(tmp_path: Path) -> None:
    [one] = read_sets(written(tmp_path, INFINITEBENCH | {"options": ["Amos", "Ben"]}, name="choice.jsonl"))
    assert one.questions[0].text == "Who?\nA. Amos\nB. Ben"


@pytest.mark.parametrize(
    ("context", "asked"), [("Amos did.", "Summarize the text."), ("锣鼓经是记谱法。", "请概括全文。")]
)
def test_a_set_of_summaries_asks_for_one_in_its_language(tmp_path: Path, context: str, asked: str) -> None:
    [one] = read_sets(written(tmp_path, LONGBENCH | {"input": "", "context": context}, name="gov.jsonl"))
    assert one.questions[0].text == asked


def test_what_cannot_be_asked_is_counted(tmp_path: Path) -> None:
    rows = [LONGBENCH, LONGBENCH | {"input": "x" * 2001}, LONGBENCH | {"context": " "}]
    [one] = read_sets(written(tmp_path, *rows, name="trec.jsonl"))
    assert (len(one.questions), one.left_out) == (1, 2)


def test_a_blank_question_of_the_own_format_is_left_out_too(folder: Path) -> None:
    [one] = read_sets(written(folder, OWN, OWN | {"question": " "}))
    assert (len(one.questions), one.left_out) == (1, 1)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "x"}, "lacks id, context, question, answers"),
        ("[1]", "line 1 is not an object"),
        ("{", "line 1 is not JSON"),
        ("", "It is empty"),
        (OWN | {"context": "gone"}, "there is no"),
        (OWN | {"context": "../set/doc"}, "there is no"),
        (OWN | {"evidence": [[3, 99]]}, r"evidence \[3, 99\] is no span of a text of 15 characters"),
        (OWN | {"evidence": [[4]]}, "is no span"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(folder: Path, row: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_sets(written(folder, row))


def test_a_context_that_is_not_utf8_is_named(folder: Path) -> None:
    (folder / "doc.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match=r"doc\.txt is not UTF-8 text \(byte 3\)"):
        read_sets(written(folder, OWN))


def test_an_unknown_format_is_told_with_what_was_looked_for(tmp_path: Path) -> None:
    written(tmp_path, {"prompt": "x", "completion": "y"}, name="other.jsonl")
    with pytest.raises(
        InputError, match=r"has the fields completion, prompt\. Looked for: questions\.jsonl .*Infinite"
    ):
        read_sets(tmp_path)


def test_a_folder_without_questions_and_one_that_is_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"It has no \.jsonl file"):
        read_sets(tmp_path)
    with pytest.raises(InputError, match="There is no folder"):
        read_sets(tmp_path / "gone")


def test_the_halves_are_apart_whole_and_the_same_each_time(folder: Path) -> None:
    [one] = read_sets(written(folder, *(OWN | {"id": str(number)} for number in range(100))))
    calibration, held_out = (choose(one, split, None).questions for split in ("calibration", "held-out"))
    assert 35 < len(calibration) < 65
    assert {*calibration, *held_out} == {*one.questions}
    assert not {*calibration} & {*held_out}
    assert split_of("5a77ec115542992a6e59dff7") == split_of("5ae40c465542996836b02c25") == "held-out"  # for good


def test_a_limit_keeps_the_first_questions_of_the_half(folder: Path) -> None:
    [one] = read_sets(written(folder, *(OWN | {"id": str(number)} for number in range(20))))
    assert choose(one, "held-out", 3).questions == choose(one, "held-out", None).questions[:3]
