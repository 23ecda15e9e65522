"""Attention over a memory that a whole batch shares, and the caches of what each row adds to it.

Several prompts over one memory are decoded as one batch. The memory's keys and values keep batch size one:
they are read by every row and copied, expanded or written by none. Queries of all rows meet them in one kernel; the
few tokens of each row's own prompt and reply are attended to beside them, under one softmax.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from memorag_core.models.kernels import Part, causal, masked, merged, nothing, over_all

NAME = "memorag"


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


def lower_right(device: torch.device) -> torch.Tensor:
    """The mask under which each token sees all of its row before it, and itself: one element, by which it is known.

    It has the four dimensions of a mask made by hand, which transformers' models leave as it is.
    """
    return torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    memory: KeyValues | None = None,
    seen: Sequence[int] | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """An attention function of transformers' attention interface.

    Args:
        query: (batch, heads, new, head dimension). key, value: (batch, key-value heads, own, head dimension).
        attention_mask: boolean (batch, 1, new, own) over the row's own tokens, or `lower_right`.
        memory: the prefix shared by all rows; without it, this is scaled-dot-product attention.
        seen: how many of the memory's tokens each row sees, from the first; by default all.

    Returns:
        The output (batch, new, heads, head dimension), and no weights.
    """
    alike = attention_mask is None or attention_mask.numel() == 1
    if memory is None and (attention_mask is None or not alike):
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    own = causal(query, key, value, scale) if alike else masked(query, key, value, scale, attention_mask)
    parts = [own]
    if memory is not None:
        layer = int(module.layer_idx)  # type: ignore[arg-type]  # every attention module of transformers has it
        parts.append(_over_memory(query, memory.keys[layer], memory.values[layer], scale, seen))
    return merged(parts).output.transpose(1, 2).contiguous(), None


def _over_memory(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float, seen: Sequence[int] | None
) -> Part:
    """All rows at once that see the same of the memory."""
    if seen is None:
        return over_all(query, keys, values, scale)
    whole = nothing(query)
    for count in set(seen) - {0}:
        rows = [row for row, tokens in enumerate(seen) if tokens == count]
        part = over_all(query[rows], keys[:, :, :count], values[:, :, :count], scale)
        whole.output[rows], whole.lse[rows] = part.output, part.lse
    return whole


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
