"""Attention in parts equals attention under one softmax, and no part is left out of what it says of itself."""

from __future__ import annotations

import pytest
import torch

from memorag_core.models.beacon.prefix import PartedKeyValues
from memorag_core.models.lm import kernels
from memorag_core.models.lm.attention import attend, lower_right
from memorag_core.models.lm.kernels import (
    PartialAttention,
    attend_causally,
    attend_fully,
    attend_masked,
    attend_nothing,
    merge_partial,
)

SCALE = 0.3


def drawn(rows: int, new: int, keys: int, kv_heads: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries of 6 heads, keys and values."""
    torch.manual_seed(rows + new + keys)
    return (
        torch.randn(rows, 6, new, 16),
        torch.randn(rows, kv_heads, keys, 16),
        torch.randn(rows, kv_heads, keys, 16),
    )


def plain(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    groups = query.shape[1] // key.shape[1]
    keys, values = (part.expand(len(query), -1, -1, -1).repeat_interleave(groups, 1) for part in (key, value))
    return torch.nn.functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=SCALE)


def assert_same(part: PartialAttention, expected: torch.Tensor) -> None:
    torch.testing.assert_close(part.output, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("rows", "new", "keys"), [(1, 5, 5), (1, 5, 40), (3, 7, 19), (2, 1, 12), (1, 1, 1)])
def test_the_last_tokens_see_themselves_and_all_before(rows: int, new: int, keys: int) -> None:
    query, key, value = drawn(rows, new, keys)
    mask = torch.ones(new, keys, dtype=torch.bool).tril(keys - new)
    expected = plain(query, key, value, mask)
    assert_same(attend_causally(query, key, value, SCALE), expected)
    assert_same(attend_masked(query, key, value, SCALE, mask[None, None]), expected)


@pytest.mark.parametrize("rows", [1, 3])
def test_rows_over_one_memory_see_all_of_it(rows: int) -> None:
    query, _, _ = drawn(rows, 4, 30)
    _, key, value = drawn(1, 4, 30)
    part = attend_fully(query, key, value, SCALE)
    assert_same(part, plain(query, key, value, torch.ones(4, 30, dtype=torch.bool)))
    scores = query @ key.repeat_interleave(3, 1).transpose(-1, -2) * SCALE
    torch.testing.assert_close(part.lse, scores.logsumexp(-1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cut", [1, 9, 20])
def test_parts_over_some_keys_each_merge_into_attention_over_all(cut: int) -> None:
    query, key, value = drawn(2, 3, 21)
    ends = [(key[:, :, a:b], value[:, :, a:b]) for a, b in ((0, cut), (cut, 21))]
    whole = attend_fully(query, key, value, SCALE)
    together = merge_partial(
        [attend_nothing(query), *(attend_fully(query, *part, SCALE) for part in ends), attend_nothing(query)]
    )
    assert_same(together, whole.output)
    torch.testing.assert_close(together.lse, whole.lse, atol=1e-5, rtol=1e-5)


def test_masked_attention_in_blocks_equals_masked_attention_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    query, key, value = drawn(2, 9, 11)
    mask = torch.rand(2, 1, 9, 11) > 0.5
    mask[..., 0] = True
    whole = attend_masked(query, key, value, SCALE, mask)
    monkeypatch.setattr(kernels, "SCORES_AT_ONCE", 1)
    assert_same(attend_masked(query, key, value, SCALE, mask), whole.output)
    assert_same(whole, plain(query, key, value, mask))


@pytest.mark.parametrize("lasting", [0, 12, 30])
@pytest.mark.parametrize("sees", [[True, True], [True, False], [False, False]])
def test_each_row_sees_its_part_of_the_memory_and_its_own_tokens(lasting: int, sees: list[bool]) -> None:
    query, own, own_values = drawn(2, 4, 6)
    _, past, past_values = drawn(1, 4, 31)
    module = torch.nn.Module()
    module.layer_idx = 0  # type: ignore[assignment]  # as every attention module of transformers has it
    memory = PartedKeyValues((past,), (past_values,), 31, lasting, torch.tensor(sees))
    found, _ = attend(module, query, own, own_values, lower_right(query.device), SCALE, memory=memory)
    seen = torch.arange(31) < torch.tensor([31 if all_of_it else lasting for all_of_it in sees])[:, None]
    mask = torch.cat([seen[:, None, None].expand(2, 1, 4, 31), torch.ones(2, 1, 4, 6).tril(2).bool()], -1)
    key, value = (
        torch.cat([shared.expand(2, -1, -1, -1), own_part], 2)
        for shared, own_part in ((past, own), (past_values, own_values))
    )
    torch.testing.assert_close(found.transpose(1, 2), plain(query, key, value, mask), atol=1e-5, rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize(("new", "past"), [(1, 9000), (7, 100), (1500, 20000)])
def test_half_precision_on_cuda_gives_what_plain_products_give(new: int, past: int) -> None:
    torch.manual_seed(0)
    query = torch.randn(1, 8, new, 128, device="cuda", dtype=torch.bfloat16)
    key, value = torch.randn(2, 1, 2, past + new, 128, device="cuda", dtype=torch.bfloat16)
    mask = torch.ones(1, 1, new, past + new, dtype=torch.bool, device="cuda").tril(past)
    for found, expected in (
        (attend_fully(query, key, value, SCALE), attend_masked(query, key, value, SCALE)),
        (attend_causally(query, key, value, SCALE), attend_masked(query, key, value, SCALE, mask)),
    ):
        torch.testing.assert_close(found.output, expected.output, atol=3e-2, rtol=3e-2)
        torch.testing.assert_close(found.lse, expected.lse, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("past", [0, 7, 8, 30])
def test_blocks_for_kernels_of_one_size_and_the_rest_give_attention_over_all(
    monkeypatch: pytest.MonkeyPatch, past: int
) -> None:
    sizes: list[int] = []

    def flash(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, lower_right: bool = False
    ) -> PartialAttention:
        seen = torch.ones(1, 1, query.shape[2], key.shape[2], dtype=torch.bool).tril(key.shape[2] - query.shape[2])
        return attend_masked(query, key, value, scale, seen if lower_right else None)

    def cudnn(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> PartialAttention:
        sizes.append(key.shape[2])
        return attend_masked(query, key, value, scale)

    query, key, value = drawn(1, 4, past + 4)
    expected = attend_causally(query, key, value, SCALE), attend_fully(query, key, value, SCALE)
    doubles = {"flash_on_cuda": lambda _: True, "_cudnn_agrees": lambda *_: True, "_flash": flash, "_cudnn": cudnn}
    for name, double in (doubles | {"CUDNN_KEYS": 8, "CUDNN_REST": 2, "CUDNN_QUERIES": 4}).items():
        monkeypatch.setattr(kernels, name, double)
    assert_same(attend_causally(query, key, value, SCALE), expected[0].output)
    assert_same(attend_fully(query, key, value, SCALE), expected[1].output)
    expected_sizes = [[8] * (keys // 8) + [2] * (keys % 8 // 2) if keys >= 8 else [] for keys in (past, past + 4)]
    assert sizes == [size for sizes_of_one in expected_sizes for size in sizes_of_one]


def test_that_memory_ran_out_is_not_remembered_of_cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(*_: object) -> PartialAttention:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    part = PartialAttention(torch.zeros(1), torch.zeros(1))
    for name, double in {"_flash": lambda *_: part, "_cudnn": run_out}.items():
        monkeypatch.setattr(kernels, name, double)
    where = torch.device("cpu"), torch.float32, 8
    with pytest.raises(torch.OutOfMemoryError):
        kernels._cudnn_agrees(*where)
    monkeypatch.setattr(kernels, "_cudnn", lambda *_: part)
    assert kernels._cudnn_agrees(*where)
