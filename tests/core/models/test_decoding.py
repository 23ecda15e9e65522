"""Decoding over a shared memory equals the plain model, and leaves the memory alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import STORY

from memorag_core.models.lm.decoding import decode
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.models.lm.prefix import Prefix

QUESTIONS = ["Who kept the book?", "When were the gates hung, and by whom, as far as the book says?", "Why?"]


@pytest.fixture(scope="module")
def lm(tiny_models: Path) -> LanguageModel:
    return LanguageModel.load(tiny_models / "lm", "cpu")


def nothing(done: int, total: int) -> None:
    pass


def ids_of(lm: LanguageModel, text: str) -> list[int]:
    ids: list[int] = lm.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def reference(lm: LanguageModel, prompt: list[int], new: int) -> list[int]:
    out = lm.model.generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=new, do_sample=False
    )
    ids: list[int] = out[0, len(prompt) :].tolist()
    return ids[: next((i for i, token in enumerate(ids) if token in lm.stop), len(ids))]


def test_decoding_without_a_memory_equals_generate_token_for_token(lm: LanguageModel) -> None:
    prompt = ids_of(lm, STORY)
    assert decode(Prefix(lm.model), [prompt], 24, lm.stop) == [reference(lm, prompt, 24)]


def test_decoding_over_a_memory_equals_generate_over_the_whole_text(lm: LanguageModel) -> None:
    memory = lm.remember(STORY, nothing)
    for question in QUESTIONS:
        whole = ids_of(lm, lm.chat_head + STORY) + ids_of(lm, "\n\n" + question + lm.chat_tail)
        expected = lm.tokenizer.decode(reference(lm, whole, 24), skip_special_tokens=True).strip()
        assert lm.generate([question], 24, memory) == [expected]


@pytest.mark.parametrize("with_memory", [True, False])
def test_a_batch_of_prompts_of_different_lengths_equals_one_by_one(lm: LanguageModel, with_memory: bool) -> None:
    memory = lm.remember(STORY, nothing) if with_memory else None
    together = lm.generate(QUESTIONS, 24, memory, repetition_penalty=1.1)
    assert together == [lm.generate([question], 24, memory, repetition_penalty=1.1)[0] for question in QUESTIONS]


def test_a_memory_asked_a_hundred_times_is_bit_for_bit_what_it_was(lm: LanguageModel) -> None:
    memory = lm.remember(STORY, nothing)
    before = [tensor.clone() for tensor in (*memory.keys, *memory.values)]
    replies = {tuple(lm.generate(QUESTIONS, 4, memory)) for _ in range(100)}
    assert len(replies) == 1
    assert all(torch.equal(*pair) for pair in zip(before, (*memory.keys, *memory.values), strict=True))


def test_prefilling_in_windows_equals_prefilling_at_once(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ids_of(lm, STORY)
    whole = lm.prefill(ids, nothing)
    monkeypatch.setattr("memorag_core.models.lm.prefill.STEP", 7)
    steps: list[int] = []
    pieces = lm.prefill(ids, lambda done, total: steps.append(done))
    assert steps == [*range(7, len(ids), 7), len(ids)]
    for one, other in zip(whole.keys, pieces.keys, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_long_batch_read_in_windows_equals_one_pass(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = [ids_of(lm, STORY), ids_of(lm, STORY[:80])]
    whole = decode(Prefix(lm.model), prompts, 12, lm.stop)
    monkeypatch.setattr("memorag_core.models.lm.decode_batch.TOKENS_A_FORWARD", 10)
    assert decode(Prefix(lm.model), prompts, 12, lm.stop) == whole


def test_attention_in_blocks_equals_attention_at_once(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = lm.remember(STORY, nothing)
    whole = lm.generate(QUESTIONS, 12, memory)
    monkeypatch.setattr("memorag_core.models.lm.kernels.SCORES_AT_ONCE", 1)
    assert lm.generate(QUESTIONS, 12, memory) == whole


def test_what_stops_a_forward_pass_stops_decoding(lm: LanguageModel) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lm.generate(["Who?"], 4, on_forward=stop)
