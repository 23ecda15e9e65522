"""What models compute besides decoding mixes no devices on CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fake_cuda import build_on_meta, fake_cuda, put_on_cuda
from transformers import AutoConfig

from memorag_core.models.lm.attention_heads import compare_attention, head_keys, head_queries
from memorag_core.models.lm.key_values import KeyValues, RaggedKeyValues
from memorag_core.models.lm.kv_budgets import choose_best
from memorag_core.models.lm.kv_compression import Segment, expected_attention, replayed_attention
from memorag_core.models.lm.kv_storage import _decode, _encode
from memorag_core.models.lm.minference import find_most_attended
from memorag_core.models.lm.prefill import PrefillPlan, read
from memorag_core.models.lm.rope import rotation

HEADS = [(0, 0), (1, 3)]
ENTRIES, WIDTH = 40, 12


def on_card(*shape: int) -> torch.Tensor:
    """A tensor of a shape."""
    return torch.zeros(shape, dtype=torch.bfloat16, device="cuda")


@pytest.fixture
def lm(tiny_models: Path) -> Iterator[Any]:
    model = build_on_meta(AutoConfig.from_pretrained(tiny_models / "lm"))
    with fake_cuda():
        put_on_cuda(model)
        yield SimpleNamespace(model=model)


def test_heads_are_read_on_cuda(lm: Any) -> None:
    entries = [on_card(1, 2, ENTRIES, WIDTH)] * 2
    assert all(keys.is_cuda for keys in head_keys(lm.model, [1, 2], [[1, 2, 3], [4]], HEADS[:1]))
    assert head_queries(lm.model, [1, 2], [1] * 6, HEADS, 200).is_cuda
    assert compare_attention(lm.model, [1] * 3, [2], KeyValues(entries, entries, ENTRIES), [1, 2, 3], HEADS).is_cuda


def test_texts_are_read_and_compressed_on_cuda(lm: Any) -> None:
    assert read(lm.model, [*range(1, 200)], lambda *_: None, PrefillPlan()).keys[0].is_cuda
    keys, queries = on_card(2, ENTRIES, WIDTH), on_card(4, 8, WIDTH)
    totals = torch.zeros(4, 8, device="cuda")
    segment = Segment(keys, keys, queries, totals, 0, partial(rotation, lm.model))
    scores = torch.stack([expected_attention(segment), replayed_attention(segment)])
    assert all(choose_best(scores, 10, by_head).is_cuda for by_head in (False, True))
    assert all(found.is_cuda for found in find_most_attended(queries[None], queries[None]))


def test_states_are_ragged_and_stored_on_cuda(lm: Any) -> None:
    entries = (on_card(1, 2, ENTRIES, WIDTH),) * 2
    ragged = RaggedKeyValues.of(KeyValues(entries, entries, ENTRIES))
    vars(ragged)["lengths"] = [[ENTRIES] * 2] * 2  # the host's own numbers, which are unknown here as all are
    assert ragged.attend(1, on_card(3, 4, 1, WIDTH), 1.0).lse.is_cuda
    for storage in ("half", "int8", "int4"):
        assert _decode(_encode(entries[0], -2, storage), -2, torch.bfloat16).is_cuda
