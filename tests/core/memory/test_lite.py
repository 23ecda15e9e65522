"""Lite memory: gists within a budget, read by every question, saved and loaded."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import STORY

from memorag_core.concurrency.progress import SILENT, ProgressScope
from memorag_core.errors import Cancelled
from memorag_core.memory import LiteMemory, lite
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.text.prompts import ENGLISH
from memorag_core.types import Document, Progress

LONG = "\n\n".join(f"On day {n} the keeper wrote {n * 7} into the book. Nobody read it." for n in range(60))


@pytest.fixture(scope="module")
def lm(tiny_models: Path) -> LanguageModel:
    return LanguageModel.load(tiny_models / "lm", "cpu")


def document(text: str, name: str = "book") -> Document:
    return Document(name, name, text)


def test_a_text_shorter_than_a_gist_is_remembered_in_its_own_words(lm: LanguageModel) -> None:
    memory = LiteMemory(lm, chunk=64, gist=48).memorize([document("The pond is deep.")], SILENT)
    assert [note["gist"] for note in memory.notes["gists"]] == ["The pond is deep."]


def test_every_chunk_of_every_document_has_a_gist_with_its_offsets(lm: LanguageModel) -> None:
    documents = [document(LONG, "long"), document(STORY, "story")]
    notes = LiteMemory(lm, chunk=256, gist=16).memorize(documents, SILENT).notes["gists"]
    assert {note["document"] for note in notes} == {"long", "story"}
    assert all(note["end"] - note["start"] > 0 for note in notes)


@pytest.mark.parametrize("budget", [40, 100, 400])
def test_the_memory_keeps_to_its_budget(lm: LanguageModel, budget: int) -> None:
    memory = LiteMemory(lm, chunk=200, gist=24, budget=budget).memorize([document(LONG)], SILENT)
    frame = lm.count([lm.chat_head])[0] + lm.count(["Here is what you remember of a long text, part by part:\n\n"])[0]
    assert memory.state.tokens <= budget + frame + 8


def test_a_model_too_small_to_write_has_whole_sentences_of_the_text_for_gists_and_key_points(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(LanguageModel, "generate")
    model = LiteMemory(lm, chunk=200, gist=60, budget=120, extracts=True)
    memory = model.memorize([document(LONG)], SILENT)
    told = [line for note in memory.notes["gists"] for line in note["gist"].split("\n")]
    points = model.key_points(memory, ENGLISH, None)
    assert told
    assert points
    assert all(line in LONG for line in (*told, *points.split("\n")))
    assert model.key_points(memory, ENGLISH, "the keeper") == ""  # what is asked for is looked up, not remembered
    assert model.settings() != LiteMemory(lm, chunk=200, gist=60, budget=120).settings()


@pytest.mark.parametrize(("free", "most"), [(0, 1), (1 << 40, 8)])
def test_as_many_chunks_are_read_at_once_as_half_of_the_free_memory_holds_and_at_most_eight(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch, free: int, most: int
) -> None:
    batches: list[int] = []
    generate = lm.generate

    def recorded(instructions: list[str], *given: Any, **named: Any) -> list[str]:
        batches.append(len(instructions))
        return generate(instructions, *given, **named)

    expected = LiteMemory(lm, chunk=64, gist=8).memorize([document(LONG)], SILENT)
    monkeypatch.setattr(lite, "_free_ram", lambda: free)
    monkeypatch.setattr(lm, "generate", recorded)
    memory = LiteMemory(lm, chunk=64, gist=8).memorize([document(LONG)], SILENT)
    assert max(batches) == most
    assert memory.notes == expected.notes


def test_a_tokenizer_without_a_chat_template_will_do(lm: LanguageModel) -> None:
    tokenizer = copy.deepcopy(lm.tokenizer)
    tokenizer.chat_template = None
    model = LiteMemory(LanguageModel(lm.model, tokenizer, "plain", ""), chunk=128, gist=16)
    memory = model.memorize([document(STORY)], SILENT)
    assert model.lm.chat_tail == "\n"
    assert model.answer(memory, "Who kept the book?") == model.answer(memory, "Who kept the book?")


def test_a_saved_and_loaded_memory_gives_the_same_answer(lm: LanguageModel, tmp_path: Path) -> None:
    model = LiteMemory(lm, chunk=128, gist=16)
    memory = model.memorize([document(STORY)], SILENT)
    model.save(memory, tmp_path)
    loaded = model.load(tmp_path)
    model.save(loaded, tmp_path)
    again = model.load(tmp_path)
    assert loaded.notes == memory.notes
    assert all(torch.equal(a, b) for a, b in zip(loaded.state.keys, again.state.keys, strict=True))
    assert model.answer(loaded, "Who kept the book?") == model.answer(again, "Who kept the book?")


def test_the_memory_on_disk_is_half_of_that_in_float32(lm: LanguageModel, tmp_path: Path) -> None:
    model = LiteMemory(lm, chunk=128, gist=16)
    memory = model.memorize([document(STORY)], SILENT)
    model.save(memory, tmp_path)
    assert (tmp_path / "memory.safetensors").stat().st_size < memory.state.nbytes / 2 + 4096


def test_recall_answer_and_key_points_only_read_the_memory(lm: LanguageModel) -> None:
    model = LiteMemory(lm, chunk=128, gist=16)
    memory = model.memorize([document(STORY)], SILENT)
    before = [tensor.clone() for tensor in (*memory.state.keys, *memory.state.values)]

    def ask() -> tuple[object, ...]:
        return (
            model.recall(memory, "Who kept the book?", max_new_tokens=8),
            model.answer(memory, "Who kept the book?", 8),
            model.key_points(memory, ENGLISH, "the gates", 8),
        )

    first = ask()
    assert all(first)
    assert ask() == first
    assert all(torch.equal(*pair) for pair in zip(before, (*memory.state.keys, *memory.state.values), strict=True))


def test_memorizing_can_be_stopped_between_passes(lm: LanguageModel) -> None:
    def stop(_: Progress) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        LiteMemory(lm, chunk=128, gist=16).memorize([document(LONG)], ProgressScope(stop))


def test_chinese_text_is_asked_for_in_chinese(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def generate(instructions: list[str], *args: object, **kwargs: object) -> list[str]:
        asked.extend(instructions)
        return ["要点"] * len(instructions)

    monkeypatch.setattr(lm, "generate", generate)
    LiteMemory(lm, chunk=128, gist=16).memorize([document("村雨城是一座城。" * 40)], SILENT)
    assert asked
    assert all("请把上面的文字压缩" in request for request in asked)
