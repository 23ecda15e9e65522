"""Static key-value buffers of a decode batch: one slot a row, written in place, at addresses that stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

from memorag_core.models.lm.graphs import StepShape
from memorag_core.models.lm.head_layout import head_width
from memorag_core.models.lm.key_values import KeyValues

Pair = tuple[torch.Tensor, torch.Tensor]
Write = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Writes new entries into a layer's buffer of all slots, and returns what is attended to."""


class SlotBuffers:
    """Keys and values of all slots: (slots, key-value heads, capacity, head dimension) a layer.

    Zeros from the start, because what a mask hides must still be a number.
    """

    def __init__(self, model: Any, slots: int, capacity: int) -> None:
        config = model.config
        shape = (slots, config.num_key_value_heads, capacity, head_width(config))
        self.slots, self.capacity = slots, capacity
        self.layers: list[Pair] = [(zeros(shape, model), zeros(shape, model)) for _ in range(config.num_hidden_layers)]

    @property
    def nbytes(self) -> int:
        """Bytes of all keys and values."""
        return sum(keys.nbytes + values.nbytes for keys, values in self.layers)

    def take_over(self, other: SlotBuffers) -> None:
        """Copy what stands in smaller buffers, slot by slot."""
        for mine, theirs in zip(self.layers, other.layers, strict=True):
            for new, old in zip(mine, theirs, strict=True):
                new[: other.slots, :, : other.capacity] = old

    def copy(self, source: int, target: int, tokens: int) -> None:
        """Copy the first entries of one slot into another."""
        for pair in self.layers:
            for part in pair:
                part[target, :, :tokens] = part[source, :, :tokens]

    def swap(self, slot: int, other: int, tokens: int) -> None:
        """Exchange the first entries of two slots."""
        for pair in self.layers:
            for part in pair:
                kept = part[slot, :, :tokens].clone()
                part[slot, :, :tokens] = part[other, :, :tokens]
                part[other, :, :tokens] = kept

    def begin(self, state: KeyValues) -> None:
        """Copy a state into the only slot."""
        for mine, theirs in zip(self.layers, zip(state.keys, state.values, strict=True), strict=True):
            for slot, part in zip(mine, theirs, strict=True):
                slot[:, :, : part.shape[2]] = part

    def view(self, tokens: int, next_position: int) -> KeyValues:
        """The first entries of the only slot, as long as nothing more is read; no copy."""
        keys, values = (tuple(part[:, :, :tokens] for part in parts) for parts in zip(*self.layers, strict=True))
        return KeyValues(keys, values, next_position)

    def for_prompts(self, first_slot: int, rows: int, start: int) -> Cache:
        """A cache that writes entries from `start` on into `rows` slots, and shows all up to there."""

        def write(buffer: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
            mine, end = buffer[first_slot : first_slot + rows], start + new.shape[2]
            mine[:, :, start:end] = new
            return mine[:, :, :end]

        return self._cache(write, start)

    def for_step(self, shape: StepShape, places: torch.Tensor) -> Cache:
        """A cache that writes the entries of a step into each of the first slots, from its place on."""
        at = (places[:, None] + torch.arange(shape.entries, device=places.device))[:, None, :, None]

        def write(buffer: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
            mine = buffer[: shape.rows]
            mine.scatter_(2, at.expand_as(new), new)
            return mine[:, :, : shape.width]

        return self._cache(write, shape.width - shape.entries)

    @staticmethod
    def mask_step(shape: StepShape, places: torch.Tensor) -> torch.Tensor:
        """The mask (rows, 1, entries, width) of what each entry of a step sees of its slot: all up to itself."""
        at = places[:, None] + torch.arange(shape.entries, device=places.device)
        return torch.arange(shape.width, device=places.device) <= at[:, None, :, None]

    def _cache(self, write: Write, start: int) -> Cache:
        return Cache(layers=[_SlotLayer(pair, write, start) for pair in self.layers])


def zeros(shape: tuple[int, ...], model: Any) -> torch.Tensor:
    """Zeros where a model is, of its dtype."""
    return torch.zeros(shape, dtype=model.dtype, device=model.device)


class _SlotLayer(DynamicLayer):
    """One layer of the buffers in the form of a transformers cache layer."""

    def __init__(self, pair: Pair, write: Write, start: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # transformers' cache layers are untyped
        self.pair, self.write, self.start = pair, write, start

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> Pair:
        keys, values = self.pair
        return self.write(keys, key_states), self.write(values, value_states)

    def get_seq_length(self) -> int:
        return self.start
