"""The first question to a stored context imports neither torch nor transformers, where its models are compiled."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from memorag_core import MemoRAG, Settings, from_path
from memorag_core.config import TINY_EMBEDDER, TINY_LM, default_models_dir
from memorag_core.models.embedded import DONE, present
from memorag_core.runtime import Runtime

SAMPLE = Path(__file__).resolve().parents[2] / "contexts" / "samples" / "harrow-sound.md"
QUESTION = "How long is the causeway of the pond?"
ASK = """
import json, sys
from memorag_core import MemoRAG, Settings
engine = MemoRAG(Settings.model_validate_json(sys.argv[1]))
context, question = sys.argv[2:]
engine.shared.import_libraries()
clues = engine.recall(context, question)
told = [
    [clue.text for clue in clues],
    [passage.chunk.text for passage in engine.retrieve(context, question, clues)],
    engine.answer(context, question).text,
    engine.summarize(context).text,
    engine.summarize(context, "the pond").text,
]
print(json.dumps([told, sorted({"torch", "transformers"} & sys.modules.keys())]))
"""


def tell(engine: MemoRAG, context: str) -> list[str | list[str]]:
    """What the subprocess tells, by an engine whose language model reads questions itself."""
    clues = engine.recall(context, QUESTION)
    return [
        [clue.text for clue in clues],
        [passage.chunk.text for passage in engine.retrieve(context, QUESTION, clues)],
        engine.answer(context, QUESTION).text,
        engine.summarize(context).text,
        engine.summarize(context, "the pond").text,
    ]


def check_first_answer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    context = MemoRAG(settings).memorize(from_path(SAMPLE, settings.max_characters)).id
    line = [sys.executable, "-c", ASK, settings.model_dump_json(), context, QUESTION]
    told, imported = json.loads(subprocess.run(line, capture_output=True, check=True, timeout=120).stdout)
    assert imported == []
    monkeypatch.setattr("memorag_core.models.weights.Weights._open_compiled", lambda *_: None)
    assert told == tell(MemoRAG(settings), context)


@pytest.fixture
def tiny(settings: Settings, tiny_models: Path, tmp_path: Path) -> Settings:
    """Random models in the place of those embedded, so that answers are extracts."""
    models = tmp_path / "models"
    for name, source in ((TINY_LM, "lm"), (TINY_EMBEDDER, "embedder")):
        shutil.copytree(tiny_models / source, models / name)
        (models / name / DONE).write_text("random", encoding="utf-8")
    chosen = {"models_dir": models, "memory_model": None, "embedder": None, "heads": "0:1,1:3"}
    return settings.model_copy(update=chosen)


@pytest.mark.parametrize("memory", ["lite", "none"])
def test_a_first_answer_needs_neither_torch_nor_transformers(
    tiny: Settings, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_first_answer(tiny.model_copy(update={"memory": memory}), monkeypatch)


@pytest.mark.slow
def test_a_first_answer_of_the_embedded_models_does_not_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not present(TINY_LM, default_models_dir()):
        pytest.skip("the embedded models are not here")
    check_first_answer(Settings.of(profile="tiny", store=tmp_path / "store", device="cpu"), monkeypatch)


def test_the_memory_is_asked_by_the_model_which_is_loaded_then(tiny: Settings) -> None:
    context = MemoRAG(tiny).memorize(from_path(SAMPLE, tiny.max_characters)).id
    later = MemoRAG(tiny)
    later.answer(context, QUESTION)
    assert later.weights.opened == 0
    shutil.rmtree(tiny.store / context)
    [asked] = later.shared.context_cache.values()
    assert later.shared.components.memory.answer(asked.memory, QUESTION, 4) is not None
    assert later.weights.opened == 1


def test_libraries_are_imported_ahead_where_a_question_needs_them(
    tiny: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported: list[str] = []
    monkeypatch.setattr("memorag_core.runtime.import_libraries", lambda: imported.append("all"))
    Runtime(tiny, lambda _: None).import_libraries()
    assert imported == ["all"], "nothing is compiled yet"
    MemoRAG(tiny).shared.components.open_all()
    Runtime(tiny, lambda _: None).import_libraries()
    assert imported == ["all"]
    Runtime(tiny.model_copy(update={"recall": "both"}), lambda _: None).import_libraries()
    assert imported == ["all", "all"], "clues are written"
