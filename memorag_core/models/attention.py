"""Attention over a memory that a whole batch shares, and the caches of what each row adds to it.

Several prompts over one memory are decoded as one batch. The memory's keys and values keep batch size one:
they are read by every row and copied, expanded or written by none. Queries of all rows meet them in one matrix
product; the few tokens of each row's own prompt and reply are attended to beside them, under one softmax.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "memorag"
SCORES_AT_ONCE = 1 << 26
Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Causal attention: query, key and value (1, heads, tokens, head dimension) to the same shape."""


@dataclass(frozen=True)
class KeyValues:
    """The key-value state of a prefix, keys rotated for the place where they stay.

    `keys` and `values` hold one tensor a layer, each (1, key-value heads, tokens, head dimension).
    `next_position` is the rotary position of the first token that follows.
    """

    keys: Sequence[torch.Tensor]
    values: Sequence[torch.Tensor]
    next_position: int

    @property
    def tokens(self) -> int:
        """Tokens kept, the same in every layer."""
        return int(self.keys[0].shape[-2])

    @property
    def nbytes(self) -> int:
        """Bytes of all keys and values."""
        return sum(tensor.nbytes for tensor in (*self.keys, *self.values))


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    memory: KeyValues | None = None,
    visible: torch.Tensor | None = None,
    queries: list[torch.Tensor] | None = None,
    sparse: Attention | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """An attention function of transformers' attention interface.

    Args:
        query: (batch, heads, new, head dimension). key, value: (batch, key-value heads, own, head dimension).
        attention_mask: boolean (batch, 1, new, own) over the row's own tokens.
        memory: the prefix shared by all rows; without it this is scaled-dot-product attention.
        visible: boolean (batch, memory tokens), what each row sees of the memory; by default all of it.
        queries: where to leave the queries of each layer, for who wants to know what was looked for.
        sparse: what to attend with where nothing was read before, all heads given their keys and values.

    Returns:
        The output (batch, new, heads, head dimension), and no weights.
    """
    if queries is not None:
        queries.append(query)
    if sparse is not None:
        groups = query.shape[1] // key.shape[1]
        attended = sparse(query, key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1))
        return attended.transpose(1, 2).contiguous(), None
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
        self.put(self.length, key_states, value_states)
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def put(self, start: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Write from `start` on, and end there."""
        if not self.is_initialized:
            batch, heads, _, width = keys.shape
            self.keys: torch.Tensor = keys.new_empty(batch, heads, self.capacity, width)
            self.values: torch.Tensor = torch.empty_like(self.keys)
            self.is_initialized = True
        end = start + keys.shape[-2]
        assert end <= self.capacity, f"{end} tokens in a buffer of {self.capacity}"
        self.keys[:, :, start:end] = keys
        self.values[:, :, start:end] = values
        self.length = end

    def get_seq_length(self) -> int:
        return self.length


class BufferCache(Cache):
    """A transformers cache for exactly `capacity` tokens a row."""

    def __init__(self, layers: int, capacity: int) -> None:
        self.buffers = [_Buffer(capacity) for _ in range(layers)]
        super().__init__(layers=list(self.buffers))

    def begin(self, state: KeyValues, entries: int) -> None:
        """Copy in the first entries of a memory, to go on from there."""
        for buffer, keys, values in zip(self.buffers, state.keys, state.values, strict=True):
            buffer.put(0, keys[:, :, :entries], values[:, :, :entries])

    def key_values(self, next_position: int) -> KeyValues:
        """What batch-size-one prefill left here, as a memory; copied only to free what is not in use."""
        parts = [(buffer.keys[:, :, : buffer.length], buffer.values[:, :, : buffer.length]) for buffer in self.buffers]
        if any(buffer.length < buffer.capacity for buffer in self.buffers):
            parts = [(keys.clone(), values.clone()) for keys, values in parts]
        return KeyValues(tuple(keys for keys, _ in parts), tuple(values for _, values in parts), next_position)


def head_width(config: Any) -> int:
    """The dimension of an attention head, of a configuration that need not name it."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def register() -> str:
    """Make `attend` known to transformers and return its name for `attn_implementation`."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME
