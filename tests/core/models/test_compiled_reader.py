"""A compiled reader gives what the language model itself gives, and gives way to it where it cannot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import STORY
from transformers import LlamaConfig, LlamaForCausalLM

from memorag_core.config import TINY, TINY_LM, Head, Settings, default_models_dir
from memorag_core.models.compiled import folders
from memorag_core.models.compiled.llama import widen
from memorag_core.models.compiled.reader import CompiledReader
from memorag_core.models.embedded import present
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.models.question_reader import QuestionReader
from memorag_core.models.weights import Weights

HEADS: tuple[Head, ...] = ((0, 1), (1, 3), (1, 0))
FAR = 200
QUESTIONS = ("x", "When did the ferry sink?", "Who kept the gate book, and <|im_end|>why? Ünïcödé 村雨", STORY * 4)


@pytest.fixture
def folder(tiny_models: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_models / "lm", tmp_path / "lm")


def open_reader(folder: Path, name: str | None = None, models: Path | None = None) -> tuple[QuestionReader, Weights]:
    settings = Settings.of(models_dir=models or folder.parent / "models", device="cpu")
    weights = Weights(settings, lambda _: None)
    return weights.question_reader(name or str(folder)), weights


def check_alike(reader: QuestionReader, lm: LanguageModel, heads: tuple[Head, ...], tolerance: float) -> None:
    assert isinstance(reader, CompiledReader)
    assert reader.window == lm.window
    assert reader.count(QUESTIONS) == lm.count(QUESTIONS)
    for question in QUESTIONS:
        assert reader.offsets(question) == lm.offsets(question)
        mine, theirs = (one.read_queries(question, heads, FAR) for one in (reader, lm))
        assert mine.dtype == theirs.dtype == np.float32
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance * float(np.abs(theirs).max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_queries_and_tokens_are_those_of_the_model(folder: Path, dtype: torch.dtype) -> None:
    model: Any = LlamaForCausalLM.from_pretrained(folder, dtype=dtype)
    model.save_pretrained(folder)
    lm = LanguageModel.load(folder, "cpu")
    check_alike(open_reader(folder)[0], lm, HEADS, 1e-5)
    check_alike(open_reader(folder)[0], lm, HEADS[:1], 1e-5)


def test_a_model_without_a_chat_template_has_no_beginning_of_a_turn(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    edit(folder / "tokenizer_config.json", lambda config: config.update(bos_token=None))
    lm = LanguageModel.load(folder, "cpu")
    assert lm.chat_head == ""
    check_alike(open_reader(folder)[0], lm, HEADS, 1e-5)


@pytest.mark.slow
def test_queries_are_those_of_the_embedded_model() -> None:
    if not present(TINY_LM, default_models_dir()):
        pytest.skip("the embedded models are not here")
    reader, weights = open_reader(Path(), TINY_LM, default_models_dir())
    check_alike(reader, weights.language_model(TINY_LM), TINY.heads, 1e-4)


def test_the_model_is_loaded_once_to_compile_it_and_then_for_what_only_it_can_do(folder: Path) -> None:
    assert open_reader(folder)[1].opened == 1
    reader, weights = open_reader(folder)
    reader.read_queries("Why?", HEADS, FAR)
    assert (weights.opened, weights.is_compiled(str(folder))) == (0, True)
    assert reader.whole is weights.language_model(str(folder))


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer_config.json", "config.json"])
def test_it_is_compiled_again_where_anything_has_changed_that_decides_it(folder: Path, name: str) -> None:
    open_reader(folder)
    (folder / name).write_text((folder / name).read_text(encoding="utf-8") + "\n", encoding="utf-8")
    reader, weights = open_reader(folder)
    assert weights.opened == 1
    assert isinstance(reader, CompiledReader)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")


def add_biases(folder: Path) -> None:
    config: Any = LlamaConfig.from_pretrained(folder, attention_bias=True)
    LlamaForCausalLM(config).save_pretrained(folder)


def rotate_by_length(folder: Path) -> None:
    rope = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    edit(folder / "config.json", lambda config: config.update(rope_parameters=rope))


def begin_with_the_date(folder: Path) -> None:
    path = folder / "chat_template.jinja"
    path.write_text("{% set day = strftime_now('%d') %}" + path.read_text(encoding="utf-8"), encoding="utf-8")


def rename_weights(folder: Path) -> None:
    torch.save(LlamaForCausalLM.from_pretrained(folder).state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize("change", [add_biases, rotate_by_length, begin_with_the_date, rename_weights])
def test_what_cannot_be_compiled_is_read_by_the_model_itself(folder: Path, change: Callable[[Path], None]) -> None:
    change(folder)
    reader, weights = open_reader(folder)
    assert reader is weights.language_model(str(folder))
    assert not weights.is_compiled(str(folder))


def test_where_nothing_can_be_written_the_model_reads_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(folders, "FileLock", refuse)
    assert isinstance(open_reader(folder)[0], LanguageModel)


@pytest.mark.parametrize("kind", [np.float16, np.uint16])
def test_every_half_is_widened_exactly(kind: Any) -> None:
    bits = torch.arange(1 << 16, dtype=torch.int32).to(torch.uint16)
    halves = bits.view(torch.float16 if kind == np.float16 else torch.bfloat16)
    finite = halves[halves.isfinite()]
    given = finite.view(torch.uint16).numpy().view(kind)
    assert np.array_equal(widen(given).view(np.uint32), finite.float().numpy().view(np.uint32))


@pytest.mark.parametrize("damaged", ["reader.json", "tokenizer.json"])
def test_a_reader_that_is_damaged_is_compiled_again(folder: Path, damaged: str) -> None:
    before = open_reader(folder)[0].read_queries("mill", HEADS, FAR)
    [found] = (folder.parent / "models").rglob(damaged)
    found.write_text('{"', encoding="utf-8")
    for _ in range(2):
        reader, weights = open_reader(folder)
        assert isinstance(reader, CompiledReader)
        np.testing.assert_array_equal(reader.read_queries("mill", HEADS, FAR), before)
    assert not weights.opened
