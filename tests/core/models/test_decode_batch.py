"""Rows of a running batch get the ids they get alone, whoever joins and leaves beside them, and steps read nothing."""

from __future__ import annotations

import gc
import random
import weakref
from pathlib import Path

import pytest
import torch
from conftest import STORY, load_exactly
from fake_cuda import build_on_meta, fake_cuda, put_on_cuda
from transformers import AutoConfig

from memorag_core.models.lm.decode_batch import DecodeBatch, DecodeRow
from memorag_core.models.lm.decoding import decode
from memorag_core.models.lm.graphs import StepShape
from memorag_core.models.lm.head_layout import head_width
from memorag_core.models.lm.key_values import KeyValues
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.models.lm.prefix import Prefix

SHARED_BEGINNING = 40


@pytest.fixture(scope="module")
def lm(tiny_models: Path, device: str) -> LanguageModel:
    return load_exactly(tiny_models / "lm", device)


@pytest.fixture(scope="module")
def memory(lm: LanguageModel) -> KeyValues:
    return lm.remember(STORY, lambda done, total: None)


@pytest.fixture(scope="module")
def prompts(lm: LanguageModel) -> list[list[int]]:
    [ids] = lm.encode([STORY])
    return [ids[:5], ids[30:51], ids[: SHARED_BEGINNING + 20], [*ids[:SHARED_BEGINNING], *ids[:20]], ids[60:61]]


def draw_arrivals(seed: int) -> list[tuple[int, int, int, int]]:
    """Step of arrival, prompt, most new tokens, and after how many steps the row is cancelled; the last comes first."""
    draw = random.Random(seed)
    numbers = range(draw.randint(1, 9))
    rows = ((draw.randint(0, 12), draw.randint(0, 4), draw.randint(1, 12), draw.randint(1, 20)) for _ in numbers)
    return sorted(rows, reverse=True)


@pytest.mark.parametrize("with_memory", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_each_row_gets_the_ids_it_gets_alone(
    lm: LanguageModel, memory: KeyValues, prompts: list[list[int]], with_memory: bool, seed: int
) -> None:
    kept = memory if with_memory else None
    before = [tensor.clone() for tensor in (*memory.keys, *memory.values)]
    batch = DecodeBatch(Prefix(lm.model, kept), lm.stop)
    rows: list[tuple[DecodeRow, int]] = []
    waiting, at = draw_arrivals(seed), 0
    while waiting or batch.rows:
        while waiting and waiting[-1][0] <= at:
            _, prompt, most, stays = waiting.pop()
            rows.append((DecodeRow(prompts[prompt], most, 1.1), at + stays))
            batch.join([rows[-1][0]])
        batch.advance()
        at += 1
        for row, until in rows:
            if not row.ended and at >= until:
                batch.leave(row)
    for row, _ in rows:
        [alone] = decode(Prefix(lm.model, kept), [row.prompt], row.max_new_tokens, lm.stop, 1.1)
        assert row.reply == alone[: len(row.reply)]
        assert len(row.reply) > 0 or not alone
    assert all(torch.equal(*pair) for pair in zip(before, (*memory.keys, *memory.values), strict=True))


def test_a_prompt_that_begins_as_another_one_is_read_from_where_they_part(
    lm: LanguageModel, prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []
    batch = DecodeBatch(Prefix(lm.model), lm.stop)
    forward = lm.model.forward

    def count(input_ids: torch.Tensor, **inputs: object) -> object:
        widths.append(input_ids.shape[1])
        return forward(input_ids=input_ids, **inputs)

    monkeypatch.setattr(lm.model, "forward", count)
    rows = [DecodeRow(prompts[number], 1) for number in (2, 3, 3)]
    for row in rows:
        batch.join([row])
    assert widths == [SHARED_BEGINNING + 20, 20, 1]
    monkeypatch.undo()
    assert [row.reply for row in rows] == [decode(Prefix(lm.model), [row.prompt], 1, lm.stop)[0] for row in rows]


@pytest.mark.parametrize("with_memory", [False, True])
def test_a_step_on_cuda_mixes_no_devices_and_reads_nothing_back(tiny_models: Path, with_memory: bool) -> None:
    config = AutoConfig.from_pretrained(tiny_models / "lm")
    model = build_on_meta(config)
    with fake_cuda():
        put_on_cuda(model)
        shape = (1, config.num_key_value_heads, 24, head_width(config))
        entries = [torch.zeros(shape, dtype=model.dtype, device="cuda") for _ in range(config.num_hidden_layers)]
        memory = KeyValues(entries, entries, 24) if with_memory else None
        batch = DecodeBatch(Prefix(model, memory), frozenset())
        batch.reserve(3, 64)
        batch.step(StepShape(3, 64))
        assert batch.last.is_cuda
        with pytest.raises(RuntimeError, match="local_scalar"):
            batch.last.tolist()


def test_a_batch_that_nobody_needs_is_freed_at_once(lm: LanguageModel, prompts: list[list[int]]) -> None:
    gc.collect()
    gc.disable()  # what only a collection frees stays on the device until then
    try:
        batch = DecodeBatch(Prefix(lm.model), lm.stop)
        batch.join([DecodeRow(prompts[0], 2)])
        batch.advance()
        kept = weakref.ref(batch)
        del batch
        assert kept() is None
    finally:
        gc.enable()
