"""Attention in parts that merge into one softmax, each part in a fused kernel where there is one.

A part is attention over some of the keys, with the log-sum-exp of its scores; by it, parts over different keys are
weighted and added up to exactly the attention over all of them. So a memory is attended to without a mask, by queries
of all its readers at once, and what is new causally; no scores are written out and no key or value is repeated.

Kernels: the flash attention of torch on CPU and, in half precision, on CUDA. Long reads of a memory go through
cuDNN there, about 1.6 times as fast on a Hopper GPU as published (FlashAttention-3, arXiv 2407.08608, figure 5). Its
kernels are planned for one number of keys, which takes a good part of a second, so that they take the memory in blocks
of two sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch

SCORES_AT_ONCE = 1 << 26
CUDNN_KEYS, CUDNN_REST = 8192, 2048
"""Keys of a block, and of what is left of them."""
CUDNN_QUERIES = 1024
FLASH_WIDTH = 256
"""The widest heads of flash attention."""


@dataclass(frozen=True, slots=True)
class PartialAttention:
    """Attention over some keys: output (batch, heads, new, head dimension), and log-sum-exp (batch, heads, new)."""

    output: torch.Tensor
    lse: torch.Tensor


def merge_partial(parts: Sequence[PartialAttention]) -> PartialAttention:
    """Attention over the keys of all parts together."""
    first, *others = parts
    if not others:
        return first
    output, lse = first.output.to(first.lse.dtype), first.lse
    # A part's softmax divides by the sum of its own exponentials, exp(lse). Over the keys of both parts the divisor is
    # the sum of the two, so each output counts by its share of it: exp(lse_b) / (exp(lse_a) + exp(lse_b)), which is
    # sigmoid(lse_b - lse_a) and cannot overflow. A part without keys has lse = -inf, so a share of 0.
    for part in others:
        output = torch.lerp(output, part.output.to(output.dtype), torch.sigmoid(part.lse - lse)[..., None])
        lse = torch.logaddexp(lse, part.lse)
    return PartialAttention(output.to(first.output.dtype), lse)


def attend_nothing(query: torch.Tensor) -> PartialAttention:
    """Attention over no keys at all, which merges into any other part without a trace."""
    return PartialAttention(
        torch.zeros_like(query), query.new_full(query.shape[:-1], float("-inf"), dtype=torch.float32)
    )


def attend_fully(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> PartialAttention:
    """Attention where every query sees every key.

    Args:
        query: (batch, heads, new, head dimension).
        key, value: (batch or 1, key-value heads, keys, head dimension); of batch 1, they are read by all rows.
    """
    batch, heads, new, width = query.shape
    kv_heads = key.shape[1]
    if key.shape[0] == batch:
        part = _attend_unmasked(query.reshape(batch, kv_heads, -1, width), key, value, scale)
        return PartialAttention(part.output.reshape(query.shape), part.lse.reshape(batch, heads, new))
    together = query.reshape(batch, kv_heads, -1, width).transpose(0, 1).reshape(1, kv_heads, -1, width)
    part = _attend_unmasked(together, key, value, scale)
    output = part.output.reshape(kv_heads, batch, -1, width).transpose(0, 1)
    lse = part.lse.reshape(kv_heads, batch, -1).transpose(0, 1)
    return PartialAttention(output.reshape(query.shape), lse.reshape(batch, heads, new))


def attend_causally(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> PartialAttention:
    """Attention where the queries are those of the last keys, and each sees its own key and all before.

    Args:
        query: (batch, heads, new, head dimension). key, value: (batch, key-value heads, keys, head dimension).
    """
    new, past = query.shape[2], key.shape[2] - query.shape[2]
    if new == 1:
        return attend_fully(query, key, value, scale)
    if flash_on_cuda(query):
        whole = _for_cudnn(query, past)
        latest = _flash(query, key[:, :, whole:], value[:, :, whole:], scale, lower_right=True)
        return (
            merge_partial([latest, attend_fully(query, key[:, :, :whole], value[:, :, :whole], scale)])
            if whole
            else latest
        )
    if query.device.type == "cpu":
        groups = query.shape[1] // key.shape[1]
        keys, values = (part[:, :, past:].repeat_interleave(groups, dim=1) for part in (key, value))
        square = _flash_for_cpu(query, keys, values, scale, lower_right=True)
        return (
            merge_partial([square, attend_fully(query, key[:, :, :past], value[:, :, :past], scale)])
            if past
            else square
        )
    seen = torch.ones(new, key.shape[2], dtype=torch.bool, device=query.device).tril(past)
    return attend_masked(query, key, value, scale, seen[None, None])


def attend_to_last(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> PartialAttention:
    """`attend_causally` in one kernel of CUDA, where `flash_on_cuda`."""
    return _flash(query, key, value, scale, lower_right=True)


def attend_masked(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, mask: torch.Tensor | None = None
) -> PartialAttention:
    """Attention under any mask, in plain matrix products, some queries at a time.

    Args:
        query: (batch, heads, new, head dimension). key, value: (batch, key-value heads, keys, head dimension).
        mask: boolean (batch or 1, 1, new, keys), what each query sees; something at least.
    """
    step = max(1, SCORES_AT_ONCE // (query.shape[0] * query.shape[1] * key.shape[2]))
    parts = [
        _plain(query[:, :, i : i + step] * scale, key, value, None if mask is None else mask[:, :, i : i + step])
        for i in range(0, query.shape[2], step)
    ]
    if len(parts) == 1:
        return parts[0]
    return PartialAttention(
        torch.cat([part.output for part in parts], dim=2), torch.cat([part.lse for part in parts], dim=2)
    )


def _plain(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None) -> PartialAttention:
    batch, heads, new, width = query.shape
    scores = query.reshape(batch, key.shape[1], -1, width) @ key.transpose(-1, -2)
    if mask is not None:
        by_group = scores.view(batch, key.shape[1], -1, new, key.shape[2])
        scores = by_group.masked_fill(~mask[:, :, None], float("-inf")).view(scores.shape)
    # The largest weight is exp(largest score - lse). `logsumexp` and what made weights of it would be eleven kernels on
    # CUDA, where a step of decoding has little else to do than to start kernels; this is six.
    weights = scores.softmax(-1, dtype=torch.float32)
    lse = scores.amax(-1) - weights.amax(-1).log()
    output = weights.to(value.dtype) @ value
    return PartialAttention(output.view(query.shape), lse.view(batch, heads, new))


def _attend_unmasked(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> PartialAttention:
    """`attend_fully` for as many heads of queries as of keys, and one batch size."""
    if not flash_on_cuda(query):
        on_cpu = query.device.type == "cpu"
        return _flash_for_cpu(query, key, value, scale) if on_cpu else attend_masked(query, key, value, scale)
    whole = _for_cudnn(query, key.shape[2])
    if not whole:
        return _flash(query, key, value, scale)
    sizes = [CUDNN_KEYS] * (whole // CUDNN_KEYS) + [CUDNN_REST] * (whole % CUDNN_KEYS // CUDNN_REST)
    blocks = zip(key[:, :, :whole].split(sizes, 2), value[:, :, :whole].split(sizes, 2), strict=True)
    parts = [_cudnn(query, keys, values, scale) for keys, values in blocks]
    rest = [_flash(query, key[:, :, whole:], value[:, :, whole:], scale)] if whole < key.shape[2] else []
    return merge_partial([*parts, *rest])


def _flash_for_cpu(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, lower_right: bool = False
) -> PartialAttention:
    """As many heads of queries as of keys; where causal, as many queries as keys too."""
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
    output, lse = kernel(query, key, value, 0.0, lower_right, scale=scale)
    return PartialAttention(output, lse)


def flash_on_cuda(query: torch.Tensor) -> bool:
    """Whether torch's flash attention takes these queries on CUDA."""
    width = query.shape[-1]
    return query.is_cuda and query.dtype in {torch.float16, torch.bfloat16} and width % 8 == 0 and width <= FLASH_WIDTH


def _flash(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, lower_right: bool = False
) -> PartialAttention:
    """Any number of heads of keys that divides that of queries."""
    kernel = torch.ops.aten._scaled_dot_product_flash_attention
    output, lse, *_ = kernel(query, key, value, 0.0, lower_right, scale=scale)
    return PartialAttention(output, lse)


def _for_cudnn(query: torch.Tensor, keys: int) -> int:
    """How many of the first keys cuDNN is to take."""
    whole = keys - keys % CUDNN_REST
    long = keys >= CUDNN_KEYS and query.shape[2] >= CUDNN_QUERIES
    return whole if long and _cudnn_agrees(query.device, query.dtype, query.shape[-1]) else 0


def _cudnn(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> PartialAttention:
    kernel = torch.ops.aten._scaled_dot_product_cudnn_attention
    output, lse, *_ = kernel(query, key, value, None, True, scale=scale)
    return PartialAttention(output, lse.reshape(query.shape[:-1]))


@cache
def _cudnn_agrees(device: torch.device, dtype: torch.dtype, width: int) -> bool:
    """Whether cuDNN is there and gives what flash attention gives, log-sum-exp included; older ones lack parts."""
    query = torch.randn(1, 2, CUDNN_QUERIES, width, device=device, dtype=dtype)
    key, value = torch.randn(2, 1, 2, CUDNN_KEYS, width, device=device, dtype=dtype)
    expected = _flash(query, key, value, width**-0.5)
    try:
        found = _cudnn(query, key, value, width**-0.5)
    except torch.OutOfMemoryError:
        raise  # this says nothing about cuDNN, and would be remembered
    except RuntimeError:
        return False
    pairs = ((found.output, expected.output), (found.lse, expected.lse))
    return all(torch.allclose(one.float(), other.float(), atol=2e-2, rtol=2e-2) for one, other in pairs)
