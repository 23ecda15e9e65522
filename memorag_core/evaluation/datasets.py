"""Labelled questions from a folder, in whichever of the known formats its lines are.

- memorag: `questions.jsonl` (id, context, question, answers, and evidence as spans `[start, end)` of the context's
  characters) beside `CONTEXT.txt` files;
- LongBench (Bai et al., 2023) and UltraDomain (Qian et al., 2024): `*.jsonl` of input, context, answers, _id;
- InfiniteBench (Zhang et al., 2024): `*.jsonl` of id, context, input, answer, options.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from memorag_core.errors import InputError
from memorag_core.text.chunking import Span
from memorag_core.text.ids import unique
from memorag_core.text.prompts import language_of

Split = Literal["all", "calibration", "held-out"]
JsonRow = Mapping[str, Any]

QUESTIONS = "questions.jsonl"
LONGEST_QUESTION = 2000
OWN = ("id", "context", "question", "answers")
PUBLIC = {
    "LongBench and UltraDomain": ("input", "context", "answers"),
    "InfiniteBench": ("id", "input", "context", "answer"),
}
SUMMARIZE = {"en": "Summarize the text.", "zh": "请概括全文。"}


@dataclass(frozen=True, slots=True)
class Question:
    """A question of one context. `evidence` holds character spans `[start, end)`, none where the source has none."""

    id: str
    context: str
    text: str
    answers: tuple[str, ...]
    evidence: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class EvalSet:
    """Questions and the texts they ask about. `left_out` counts lines that cannot be asked: too long, or no text."""

    name: str
    contexts: Mapping[str, str]
    questions: tuple[Question, ...]
    left_out: int = 0


def read_sets(folder: Path) -> list[EvalSet]:
    """The sets of a folder: one in the own form, else one for each `.jsonl` file.

    Raises:
        InputError: there is no such folder, or nothing in it is in a known format; says what was looked for.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}. Name a folder of questions and their texts.")
    if (questions := folder / QUESTIONS).is_file():
        return [_own(questions)]
    if not (files := sorted(folder.glob("*.jsonl"))):
        raise _unknown(folder, "It has no .jsonl file.")
    return [_public(path) for path in files]


def choose(questions: EvalSet, split: Split, limit: int | None) -> EvalSet:
    """The first `limit` questions of one half, or of all."""
    kept = [question for question in questions.questions if split in ("all", split_of(question.id))]
    return replace(questions, questions=tuple(kept[:limit]))


def split_of(question_id: str) -> Split:
    """The half that a question is in, whatever else is in its set: by the first bit of its id's SHA-256."""
    return "held-out" if hashlib.sha256(question_id.encode()).digest()[0] & 0x80 else "calibration"


def _own(path: Path) -> EvalSet:
    questions: list[Question] = []
    contexts: dict[str, str] = {}
    left_out = 0
    for where, row in _rows(path):
        _expect(row, OWN, path, where)
        name = str(row["context"])
        if name not in contexts:
            contexts[name] = _text_of(path.parent, name)
        evidence = _spans(row.get("evidence") or (), len(contexts[name]), where)
        if not 0 < len(row["question"].strip()) <= LONGEST_QUESTION:
            left_out += 1
            continue
        questions.append(Question(str(row["id"]), name, row["question"], _answers(row["answers"]), evidence))
    return EvalSet(path.resolve().parent.name, contexts, tuple(questions), left_out)


def _text_of(folder: Path, name: str) -> str:
    path = folder / f"{name}.txt"
    if path.parent != folder or not path.is_file():
        raise InputError(f"{folder / QUESTIONS} asks about '{name}', and there is no {path}. Add that text.")
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}), so no span of it can be found.") from error


def _public(path: Path) -> EvalSet:
    questions: list[Question] = []
    contexts: dict[str, str] = {}
    taken: set[str] = set()
    left_out = 0
    for number, (where, row) in enumerate(_rows(path)):
        fields = next((fields for fields in PUBLIC.values() if row.keys() >= set(fields)), None)
        if fields is None:
            raise _unknown(path, f"{where} has the fields {', '.join(sorted(row))}.")
        text, asked = row["context"], _read_question(row)
        if not (text.strip() and len(asked) <= LONGEST_QUESTION):
            left_out += 1
            continue
        context = f"{path.stem}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        contexts[context] = text
        name = unique(str(row.get("_id", row.get("id", number))), taken)
        taken.add(name)
        questions.append(Question(name, context, asked, _answers(row[fields[-1]])))
    return EvalSet(path.stem, contexts, tuple(questions), left_out)


def _read_question(row: JsonRow) -> str:
    """The question with its options, lettered; where there is none, as in sets of summaries, a request for one."""
    asked = row["input"].strip() or SUMMARIZE[language_of(row["context"][:LONGEST_QUESTION])]
    options = [f"{letter}. {option}" for letter, option in zip("ABCDEFGH", row.get("options") or (), strict=False)]
    return "\n".join([asked, *options])


def _answers(given: Any) -> tuple[str, ...]:
    return (str(given),) if isinstance(given, str | int | float) else tuple(map(str, given))


def _spans(given: Sequence[Any], characters: int, where: str) -> tuple[Span, ...]:
    for span in given:
        whole = len(span) == 2 and all(isinstance(at, int) for at in span)
        if not whole or not 0 <= span[0] < span[1] <= characters:
            raise InputError(
                f"{where}: evidence {span} is no span of a text of {characters:,} characters. Give [start, end)."
            )
    return tuple((start, end) for start, end in given)


def _rows(path: Path) -> Iterator[tuple[str, JsonRow]]:
    """Each line's object, and where it stands."""
    found = False
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            found, where = True, f"{path} line {number}"
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"{where} is not JSON ({error.msg}). Give one object a line.") from error
            if not isinstance(row, dict):
                raise _unknown(path, f"{where} is not an object.")
            yield where, row
    if not found:
        raise _unknown(path, "It is empty.")


def _expect(row: JsonRow, fields: Sequence[str], path: Path, where: str) -> None:
    if missing := [field for field in fields if field not in row]:
        raise _unknown(path, f"{where} lacks {', '.join(missing)}.")


def _unknown(path: Path, why: str) -> InputError:
    others = "; or of ".join(f"{name} ({', '.join(fields)})" for name, fields in PUBLIC.items())
    return InputError(
        f"{path} is in no known format. {why} Looked for: {QUESTIONS} ({', '.join(OWN)}) beside the contexts as .txt "
        f"files; or .jsonl files of {others}."
    )
