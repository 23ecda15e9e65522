"""Attention over a memory that a whole batch shares, and the caches of what each row adds to it.

Several prompts over one memory are decoded as one batch. The memory's keys and values keep batch size one:
they are read by every row and copied, expanded or written by none. Queries of all rows meet them in one kernel; the
few tokens of each row's own prompt and reply are attended to beside them, under one softmax.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from memorag_core.errors import InputError
from memorag_core.models.lm.kernels import (
    attend_causally,
    attend_masked,
    attend_to_last,
    flash_on_cuda,
    merge_partial,
)
from memorag_core.models.lm.key_values import KeyValues

NAME = "memorag"
Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Causal attention: query, key and value (1, heads, tokens, head dimension) to the same shape."""
NOT_DONE = ("s_aux", "softcap")
"""What some models ask of attention that no kernel here does: sinks among the scores, and scores squeezed."""


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
    queries: list[torch.Tensor] | None = None,
    totals: list[torch.Tensor] | None = None,
    sparse: Attention | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """An attention function of transformers' attention interface.

    Args:
        query: (batch, heads, new, head dimension). key, value: (batch, key-value heads, own, head dimension).
        attention_mask: boolean (batch, 1, new, own) over the row's own tokens, or `lower_right`.
        memory: the prefix shared by all rows; without it, this is scaled-dot-product attention.
        queries: where to leave the queries of each layer, for who wants to know what was looked for.
        totals: where to leave the log-sum-exp of each query's scores, for who wants to know what it attended to.
        sparse: what to attend with where nothing was read before, all heads given their keys and values.
        sliding_window: of what each token sees, the last so many; none where it sees all.

    Returns:
        The output (batch, new, heads, head dimension), and no weights.

    Raises:
        InputError: the model asks for what is not done here.
    """
    if asked := [name for name in NOT_DONE if kwargs.get(name) is not None]:
        raise InputError(f"This model's attention has {' and '.join(asked)}, which is not supported.")
    if queries is not None:
        queries.append(query)
    if sparse is not None:
        groups = query.shape[1] // key.shape[1]
        attended = sparse(query, key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1))
        return attended.transpose(1, 2).contiguous(), None
    alike = attention_mask is None or attention_mask.numel() == 1
    if alike and attention_mask is not None and query.requires_grad:
        return _attend_in_training(module, query, key, value, scaling)
    step = query.shape[2] == 1 and not alike
    if memory is None and totals is None and (attention_mask is None or not alike) and not step:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    layer = int(module.layer_idx)  # type: ignore[arg-type]  # every attention module of transformers has it
    if sliding_window and _goes_beyond(sliding_window, memory, key):
        keys, values = _put_before(memory, layer, key, value, sliding_window)
        mask = _slide(query, key, keys.shape[2], None if alike else attention_mask, sliding_window)
        parts = [attend_masked(query, keys, values, scale, mask)]
    else:
        parts = [
            attend_causally(query, key, value, scale)
            if alike
            else attend_masked(query, key, value, scale, attention_mask)
        ]
        if memory is not None:
            parts.append(memory.attend(layer, query, scale))
    whole = merge_partial(parts)
    if totals is not None:
        totals.append(whole.lse)
    return whole.output.transpose(1, 2).contiguous(), None


def _goes_beyond(window: int, memory: KeyValues | None, key: torch.Tensor) -> bool:
    """Whether there is more than a window; a memory that is ragged or in parts was compressed to fit into one."""
    whole = memory is None or type(memory) is KeyValues
    return whole and (memory.tokens if memory else 0) + key.shape[2] > window


def _put_before(
    memory: KeyValues | None, layer: int, key: torch.Tensor, value: torch.Tensor, window: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """What of a memory a window can reach, and behind it each row's own."""
    if memory is None:
        return key, value
    near = slice(max(0, memory.tokens - window + 1), None)
    reached = (part[layer][:, :, near].expand(len(key), -1, -1, -1) for part in (memory.keys, memory.values))
    keys, values = (torch.cat(pair, 2) for pair in zip(reached, (key, value), strict=True))
    return keys, values


def _slide(
    query: torch.Tensor, key: torch.Tensor, entries: int, mask: torch.Tensor | None, window: int
) -> torch.Tensor:
    """Which of all entries, of which each row's own are the last, each query sees through a window."""
    new, own = query.shape[2], key.shape[2]
    places = torch.arange(own - entries, own, device=query.device)
    here = places[-new:][None, None] if mask is None else (mask * places[-own:]).amax(-1)
    seen: torch.Tensor = (places <= here[..., None]) & (places > here[..., None] - window)
    return seen


def _attend_in_training(
    module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Attention under `lower_right` whose gradients are whole; parts merge by a number that has none."""
    if flash_on_cuda(query):
        output = attend_to_last(query, key, value, scaling or query.shape[-1] ** -0.5).output
        return output.transpose(1, 2).contiguous(), None
    new, keys = query.shape[2], key.shape[2]
    mask = torch.ones(1, 1, new, keys, dtype=torch.bool, device=query.device).tril(keys - new)
    return sdpa_attention_forward(module, query, key, value, mask, scaling=scaling)


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

    def begin(self, state: KeyValues) -> None:
        """Copy in a memory, to go on from there."""
        for buffer, keys, values in zip(self.buffers, state.keys, state.values, strict=True):
            buffer.put(0, keys, values)

    def crop(self, tokens: int) -> None:
        """Forget all but the first tokens."""
        for buffer in self.buffers:
            buffer.length = tokens

    def view(self, next_position: int) -> KeyValues:
        """What is here now, as long as nothing more is read; no copy."""
        parts = [(buffer.keys[:, :, : buffer.length], buffer.values[:, :, : buffer.length]) for buffer in self.buffers]
        return KeyValues(tuple(keys for keys, _ in parts), tuple(values for _, values in parts), next_position)

    def key_values(self, next_position: int) -> KeyValues:
        """What batch-size-one prefill left here, as a memory; copied only to free what is not in use."""
        here = self.view(next_position)
        if all(buffer.length == buffer.capacity for buffer in self.buffers):
            return here
        keys, values = (tuple(layer.clone() for layer in layers) for layers in (here.keys, here.values))
        return KeyValues(keys, values, next_position)


def register() -> str:
    """Make `attend` known to transformers and return its name for `attn_implementation`."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME
