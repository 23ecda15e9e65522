"""Attention over a memory that a whole batch shares, and the caches of what each row adds to it.

Several prompts over one memory are decoded as one batch. The memory's keys and values keep batch size one:
they are read by every row and copied, expanded or written by none. Queries of all rows meet them in one matrix
product; the few tokens of each row's own prompt and reply are attended to beside them, under one softmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "memorag"
SCORES_AT_ONCE = 1 << 26


@dataclass(frozen=True)
class KeyValues:
    """The key-value state of a prefix, keys rotated for the place where they stay.

    `keys` and `values` hold one tensor a layer, each (1, key-value heads, tokens, head dimension).
    `next_position` is the rotary position of the first token that follows.
    """

    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]
    next_position: int

    @property
    def tokens(self) -> int:
        """Tokens kept, the same in every layer."""
        return int(self.keys[0].shape[-2])

    @property
    def nbytes(self) -> int:
        """Bytes of all keys and values."""
        return sum(tensor.nbytes for tensor in (*self.keys, *self.values))

    def first(self, tokens: int) -> KeyValues:
        """The state of the first `tokens`, where each stands at its own position; no copy."""
        keys, values = (tuple(part[:, :, :tokens] for part in parts) for parts in (self.keys, self.values))
        return KeyValues(keys, values, tokens)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    memory: KeyValues | None = None,
    visible: torch.Tensor | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """An attention function of transformers' attention interface.

    Args:
        query: (batch, heads, new, head dimension). key, value: (batch, key-value heads, own, head dimension).
        attention_mask: boolean (batch, 1, new, own) over the row's own tokens.
        memory: the prefix shared by all rows; without it this is scaled-dot-product attention.
        visible: boolean (batch, memory tokens), what each row sees of the memory; by default all of it.

    Returns:
        The output (batch, new, heads, head dimension), and no weights.
    """
    if memory is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    layer = int(module.layer_idx)  # type: ignore[arg-type]  # every attention module of transformers has it
    past_keys, past_values = memory.keys[layer][0], memory.values[layer][0]
    batch, heads, new, width = query.shape
    groups = heads // key.shape[1]
    scale = width**-0.5 if scaling is None else scaling
    step = max(1, SCORES_AT_ONCE // (batch * heads * (past_keys.shape[-2] + key.shape[-2])))
    outputs = [
        _attend_block(
            query[:, :, i : i + step].reshape(batch, -1, groups, query[:, :, i : i + step].shape[2], width) * scale,
            (past_keys, past_values),
            (key, value),
            None if attention_mask is None else attention_mask[:, :, i : i + step],
            visible,
        )
        for i in range(0, new, step)
    ]
    return torch.cat(outputs, dim=3).reshape(batch, heads, new, width).transpose(1, 2).contiguous(), None


def _attend_block(
    query: torch.Tensor,
    past: tuple[torch.Tensor, torch.Tensor],
    own: tuple[torch.Tensor, torch.Tensor],
    mask: torch.Tensor | None,
    visible: torch.Tensor | None,
) -> torch.Tensor:
    """One softmax over memory and own tokens. query: (batch, kv heads, groups, new, width), already scaled."""
    batch, kv_heads, groups, new, width = query.shape
    rows = query.transpose(0, 1).reshape(kv_heads, batch * groups * new, width)
    shared = (rows @ past[0].transpose(-1, -2)).view(kv_heads, batch, groups, new, -1).transpose(0, 1)
    if visible is not None:
        shared = shared.masked_fill(~visible[:, None, None, None], float("-inf"))
    alone = query @ own[0][:, :, None].transpose(-1, -2)
    if mask is not None:
        alone = alone.masked_fill(~mask[:, :, None], float("-inf"))
    weights = torch.cat([shared, alone], dim=-1).softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    on_shared, on_own = weights.split([shared.shape[-1], alone.shape[-1]], dim=-1)
    rows = on_shared.transpose(0, 1).reshape(kv_heads, batch * groups * new, -1) @ past[1]
    from_memory = rows.view(kv_heads, batch, groups, new, width).transpose(0, 1)
    output: torch.Tensor = from_memory + on_own @ own[1][:, :, None]
    return output


class _Buffer(DynamicLayer):
    """A layer of known capacity that is written in place: no token is ever concatenated."""

    def __init__(self, capacity: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # transformers' cache layers are untyped
        self.capacity = capacity
        self.length = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            batch, heads, _, width = key_states.shape
            self.keys: torch.Tensor = key_states.new_empty(batch, heads, self.capacity, width)
            self.values: torch.Tensor = torch.empty_like(self.keys)
            self.is_initialized = True
        end = self.length + key_states.shape[-2]
        assert end <= self.capacity, f"{end} tokens in a buffer of {self.capacity}"
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        return self.length


class BufferCache(Cache):
    """A transformers cache for exactly `capacity` tokens a row."""

    def __init__(self, layers: int, capacity: int) -> None:
        self.buffers = [_Buffer(capacity) for _ in range(layers)]
        super().__init__(layers=list(self.buffers))

    def key_values(self, next_position: int) -> KeyValues:
        """What batch-size-one prefill left here, as a memory; no copy."""
        return KeyValues(
            tuple(layer.keys for layer in self.buffers), tuple(layer.values for layer in self.buffers), next_position
        )


def register() -> str:
    """Make `attend` known to transformers and return its name for `attn_implementation`."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME
