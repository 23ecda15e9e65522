"""Key-value states: what a language model keeps of a text it has read; of every head as much, or of each its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from memorag_core.models.lm.kernels import PartialAttention, attend_fully, attend_nothing


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

    def attend(self, layer: int, query: torch.Tensor, scale: float) -> PartialAttention:
        """Attend with queries (batch, heads, new, head dimension) to all of a layer."""
        return attend_fully(query, self.keys[layer], self.values[layer], scale)

    def first(self, tokens: int) -> KeyValues:
        """The state of the first `tokens`, where each stands at its own position; no copy."""
        keys, values = (tuple(layer[:, :, :tokens] for layer in layers) for layers in (self.keys, self.values))
        return KeyValues(keys, values, tokens)

    def after(self, tokens: int) -> KeyValues:
        """What was added behind the first `tokens`; no copy."""
        keys, values = (tuple(layer[:, :, tokens:] for layer in layers) for layers in (self.keys, self.values))
        return KeyValues(keys, values, self.next_position)

    def join(self, behind: KeyValues) -> KeyValues:
        """This state, and behind it what was added to it."""
        if isinstance(behind, RaggedKeyValues):
            return RaggedKeyValues.of(self).join(behind)
        keys, values = (
            tuple(torch.cat(pair, 2) for pair in zip(mine, theirs, strict=True))
            for mine, theirs in ((self.keys, behind.keys), (self.values, behind.values))
        )
        return KeyValues(keys, values, behind.next_position)

    def to(self, device: torch.device) -> KeyValues:
        """The same there."""
        keys, values = (tuple(layer.to(device) for layer in layers) for layers in (self.keys, self.values))
        return replace(self, keys=keys, values=values)


@dataclass(frozen=True)
class RaggedKeyValues(KeyValues):
    """A state of which every head keeps a number of entries of its own.

    A layer's tensors are (1, 1, entries of all heads, head dimension): those of one head, then those of the next, so
    that nothing is kept that nobody attends to. `counts` (blocks, layers, key-value heads) says how many entries each
    head has of each block of the text; it is never on the device, because the host splits tensors by it.
    """

    counts: torch.Tensor = field(default_factory=lambda: torch.zeros(0, 0, 0, dtype=torch.long))

    @classmethod
    def of(cls, state: KeyValues) -> RaggedKeyValues:
        """A state of which every head keeps as much, as one block."""
        if isinstance(state, RaggedKeyValues):
            return state
        keys, values = (
            tuple(layer.reshape(1, 1, -1, layer.shape[-1]) for layer in layers) for layers in (state.keys, state.values)
        )
        counts = torch.full((1, len(keys), state.keys[0].shape[1]), state.tokens)
        return cls(keys, values, state.next_position, counts)

    @cached_property
    def lengths(self) -> list[list[int]]:
        """The entries of each head, by layer."""
        lengths: list[list[int]] = self.counts.sum(0).tolist()
        return lengths

    @property
    def tokens(self) -> int:
        """Entries of a head, on average."""
        return int(self.counts.sum()) // self.counts.shape[1:].numel()

    @property
    def even(self) -> KeyValues:
        """The same where every head has as much, as `of` was given it; no copy."""
        heads = self.counts.shape[2]
        keys, values = (
            tuple(layer.view(1, heads, -1, layer.shape[-1]) for layer in layers) for layers in (self.keys, self.values)
        )
        return KeyValues(keys, values, self.next_position)

    def attend(self, layer: int, query: torch.Tensor, scale: float) -> PartialAttention:
        """Attend with each group of heads to the entries of its own."""
        whole = attend_nothing(query)
        group = query.shape[1] // self.counts.shape[2]
        keys, values = (self.by_head(layers[layer], layer) for layers in (self.keys, self.values))
        for head, (own_keys, own_values) in enumerate(zip(keys, values, strict=True)):
            if own_keys.shape[2]:
                mine = slice(head * group, (head + 1) * group)
                part = attend_fully(query[:, mine], own_keys, own_values, scale)
                whole.output[:, mine], whole.lse[:, mine] = part.output, part.lse
        return whole

    def by_head(self, tensor: torch.Tensor, layer: int) -> list[torch.Tensor]:
        """Keys or values of a layer, those of each head for themselves; no copy."""
        return list(tensor.split(self.lengths[layer], 2))

    def first(self, tokens: int) -> KeyValues:
        """The state of the first blocks, which have `tokens` entries of a head on average.

        Where that is within a block, every head has as much of this one.
        """
        kept, _ = self._cut(tokens)
        return self._select(torch.zeros_like(self.counts[0]), kept, tokens)

    def after(self, tokens: int) -> KeyValues:
        """What the blocks behind them added."""
        before, behind = self._cut(tokens)
        return self._select(before.sum(0), behind, self.next_position)

    def join(self, behind: KeyValues) -> KeyValues:
        other = RaggedKeyValues.of(behind)
        keys, values = (
            tuple(self._join(layer, other, *pair) for layer, pair in enumerate(zip(mine, theirs, strict=True)))
            for mine, theirs in ((self.keys, other.keys), (self.values, other.values))
        )
        return RaggedKeyValues(keys, values, other.next_position, torch.cat([self.counts, other.counts]))

    def _join(self, layer: int, other: RaggedKeyValues, mine: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
        pairs = zip(self.by_head(mine, layer), other.by_head(theirs, layer), strict=True)
        return torch.cat([part for pair in pairs for part in pair], 2)

    def _cut(self, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The counts of the blocks before and behind so many entries of a head."""
        sizes = self.counts.flatten(1).sum(1) // self.counts.shape[1:].numel()
        blocks = int((sizes.cumsum(0) <= tokens).sum())
        rest = tokens - int(sizes[:blocks].sum())
        if not rest:
            return self.counts[:blocks], self.counts[blocks:]
        part = torch.full_like(self.counts[:1], rest)
        within = self.counts[blocks : blocks + 1] - part
        return torch.cat([self.counts[:blocks], part]), torch.cat([within, self.counts[blocks + 1 :]])

    def _select(self, start: torch.Tensor, counts: torch.Tensor, next_position: int) -> KeyValues:
        """Of every head as many entries as its counts say, from where it is said."""
        begins, ends = start.tolist(), (start + counts.sum(0)).tolist()

        def take(tensor: torch.Tensor, layer: int) -> torch.Tensor:
            bounds = zip(self.by_head(tensor, layer), begins[layer], ends[layer], strict=True)
            return torch.cat([part[:, :, begin:end] for part, begin, end in bounds], 2)

        keys, values = (
            tuple(take(tensor, layer) for layer, tensor in enumerate(layers)) for layers in (self.keys, self.values)
        )
        return RaggedKeyValues(keys, values, next_position, counts)


def key_values(
    keys: Sequence[torch.Tensor], values: Sequence[torch.Tensor], next_position: int, counts: torch.Tensor | None
) -> KeyValues:
    """A state as it was written: ragged where there are counts."""
    if counts is None:
        return KeyValues(keys, values, next_position)
    return RaggedKeyValues(keys, values, next_position, counts)
