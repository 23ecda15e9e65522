"""Questions in German, Spanish and Japanese, over texts that were written for this project (contexts/languages)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memorag_core import MemoRAG, Settings, from_text

FOLDER = Path(__file__).resolve().parents[3] / "contexts" / "languages"


@pytest.mark.parametrize("language", ["de", "es", "ja"])
def test_what_answers_a_question_of_any_language_is_among_the_first_two_passages(
    settings: Settings, language: str
) -> None:
    engine = MemoRAG(settings.model_copy(update={"retriever": "bm25", "memory": "none"}))
    context = engine.memorize([from_text((FOLDER / f"{language}.txt").read_text(encoding="utf-8"))]).id
    asked = map(json.loads, (FOLDER / "questions.jsonl").read_text(encoding="utf-8").splitlines())
    for question in (one for one in asked if one["context"] == language):
        found = engine.retrieve(context, question["question"], k=2, tokens=2000)
        assert any(question["answers"][0] in passage.chunk.text for passage in found), question["question"]
