"""Rows of tokens that continue one beacon memory: beacons interleaved and full windows folded while they go on.

Every row reads the same memory, which has batch size one and is written by none. What a row adds stands in slots
of its own buffer, from the left and without holes; a row whose window fills up keeps that window's beacons there,
rotated to their new places, and no longer sees the memory's unfinished window. So nothing is concatenated or
rotated again at a token; at the end of a window, its beacons are, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.models.beacon.model import BEACON, BeaconModel, BeaconState
from memorag_core.models.lm.attention import head_width, lower_right
from memorag_core.models.lm.decode_batch import TOKENS_A_FORWARD
from memorag_core.models.lm.decoding import Greedy
from memorag_core.models.lm.key_values import KeyValues
from memorag_core.models.lm.prefill import OnBorder, ignore_border
from memorag_core.models.lm.rope import rotate, rotation

PADDING = 0


def read(
    model: BeaconModel,
    ids: Sequence[int],
    on_step: Callable[[int, int], None] = lambda done, total: None,
    after: BeaconState | None = None,
    on_border: OnBorder = ignore_border,
) -> BeaconState:
    """The state after `ids`, from nothing or continuing `after`, which is left as it was.

    Args:
        on_step: hears of (tokens done, tokens in all) after every window; may raise to stop.
        on_border: hears of every window that is folded, with what no longer changes.
    """
    before = after.read if after else 0

    def tell() -> None:
        if model.layout.room(rows.read[0]) in {None, model.layout.window}:
            on_border(rows.read[0], rows.view())
        on_step(rows.read[0] - before, len(ids))

    rows = BeaconBatch(model, None, 1, before + len(ids), tell)
    if after:
        rows.resume(after)
    rows.feed([ids], only_remember=True)
    return rows.state()


def decode_after(
    model: BeaconModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    state: BeaconState,
    greedy: Greedy,
) -> list[list[int]]:
    """Continue every prompt greedily after `state`, as one batch, exactly as each would alone.

    Returns:
        The new token ids of each prompt, at most `max_new_tokens`.
    """
    rows = BeaconBatch(model, state, len(prompts), max(map(len, prompts)) + max_new_tokens)
    new: Sequence[Sequence[int]] = prompts
    for _ in range(max_new_tokens):
        chosen = greedy.take(rows.feed(new))
        if chosen is None:
            break
        new = chosen.tolist()
    return greedy.replies


class BeaconBatch:
    """`rows` sequences that continue `start` by at most `tokens` tokens each.

    For row r: `read[r]` tokens of the whole sequence are behind it, it sees the first `seen[r]` entries of the
    memory, and `used[r]` slots of its own. An entry's position is its place in [seen, own slots].
    """

    def __init__(
        self,
        model: BeaconModel,
        start: BeaconState | None,
        rows: int,
        tokens: int,
        on_forward: Callable[[], None] = lambda: None,
    ) -> None:
        self.model = model
        self.memory = start.key_values if start else None
        self.on_forward = on_forward
        behind = start.read if start else 0
        self.read = [behind] * rows
        self.seen = [model.layout.entries(behind)] * rows
        self.used = [0] * rows
        self._own = _RowCache(model.model, rows, model.layout.most(behind, tokens))
        self._columns = max(TOKENS_A_FORWARD, model.layout.window) // rows or 1

    @torch.inference_mode()
    def resume(self, state: BeaconState) -> None:
        """Start the only row from a copy of `state`, so that each window behind it costs what it would at once."""
        self.read, self.used = [state.read], [state.key_values.tokens]
        kept = (*state.key_values.keys, *state.key_values.values)
        for slots, part in zip((*self._own.keys, *self._own.values), kept, strict=True):
            slots[:, :, : self.used[0]] = part

    @torch.inference_mode()
    def feed(self, tokens: Sequence[Sequence[int]], only_remember: bool = False) -> torch.Tensor:
        """Go on by these tokens, any number a row.

        Args:
            only_remember: leave out what only the logits need.

        Returns:
            The logits (rows, vocabulary) that follow each row's last token; of a row that got none, zeros.
        """
        rows = range(len(self.read))
        goals = [behind + len(given) for behind, given in zip(self.read, tokens, strict=True)]
        logits = torch.zeros(len(rows), self.model.model.config.vocab_size, device=self.model.model.device)
        while self.read != goals:
            starts = [len(tokens[row]) - (goals[row] - self.read[row]) for row in rows]
            parts = [tokens[row][at : at + self._width(row)] for row, at in zip(rows, starts, strict=True)]
            going = [row for row in rows if parts[row]]
            with self.model.only_remembering() if only_remember else nullcontext():
                hidden = self._forward(parts)
            if not only_remember:
                logits[going] = self.model.logits(hidden)[going].to(logits.dtype)
            for row in going:
                if self.model.layout.room(self.read[row]) == self.model.layout.window:
                    self._fold(row)
            raise_if_cancelled()
            self.on_forward()
        return logits

    def view(self) -> KeyValues:
        """What the only row has become, as long as it reads no more; no copy."""
        keys, values = (tuple(b[:, :, : self.used[0]] for b in layers) for layers in (self._own.keys, self._own.values))
        return KeyValues(keys, values, self.used[0])

    @torch.inference_mode()
    def state(self, row: int = 0) -> BeaconState:
        """What a row has become, in tensors of its own."""
        own = [buffer[row : row + 1, :, : self.used[row]] for buffer in (*self._own.keys, *self._own.values)]
        if self.memory is None:
            kept = [part.clone() for part in own]
        else:
            shared = (*self.memory.keys, *self.memory.values)
            kept = [torch.cat([m[:, :, : self.seen[row]], o], dim=2) for m, o in zip(shared, own, strict=True)]
        layers = len(kept) // 2
        entries = self.seen[row] + self.used[row]
        return BeaconState(KeyValues(tuple(kept[:layers]), tuple(kept[layers:]), entries), self.read[row])

    def _width(self, row: int) -> int:
        """The most tokens a row takes in one pass: never across the end of its window."""
        room = self.model.layout.room(self.read[row])
        return self._columns if room is None else min(self._columns, room)

    def _forward(self, parts: Sequence[Sequence[int]]) -> torch.Tensor:
        """One pass; rows of fewer entries are filled up on the right. The last hidden states (rows, hidden)."""
        entries = [self.model.layout.interleave(part, at) for part, at in zip(parts, self.read, strict=True)]
        width = max(map(len, entries))
        ids = [row + [PADDING] * (width - len(row)) for row in entries]
        memory = self._visible()
        slots, mask = self._own.place(self.used, [len(row) for row in entries])
        hidden = self.model.hidden(
            ids,
            position_ids=slots + torch.tensor(self.seen, device=slots.device)[:, None],
            attention_mask=mask,
            past_key_values=self._own.cache,
            memory=memory,
            seen=None if min(self.seen) == max(self.seen) else self.seen,
        )
        last = [len(row) - 1 - (row[-1:] == [BEACON]) for row in entries]
        for row, part in enumerate(parts):
            self.read[row] += len(part)
            self.used[row] += len(entries[row])
        return hidden[list(range(len(last))), last]

    def _visible(self) -> KeyValues | None:
        """The part of the memory that any row sees."""
        most = max(self.seen)
        if self.memory is None or most == 0:
            return None
        return self.memory if most == self.memory.tokens else self.memory.first(most)

    def _fold(self, row: int) -> None:
        """Keep the beacons of the window that a row has just filled, where the window began."""
        # What a row sees is [entries of the shared memory it still reads, its own slots]. A window may begin in the
        # memory and end in the slots, so its beacons come from both: entries below `shared` lie in the memory, which
        # other rows read and which therefore stays as it is, the others in the slots from `here` on. All beacons are
        # written to the slots, closed up, and their keys rotated by as many places as they moved. From then on the
        # row reads the memory only up to where the window began.
        layout = self.model.layout
        began = layout.folded(self.read[row] - layout.window)
        here = max(0, began - self.seen[row])
        shared = max(0, self.seen[row] - began)
        kept = layout.kept(self.read[row])
        in_memory, in_slots = (
            torch.tensor(places, dtype=torch.long, device=self.model.model.device)
            for places in (
                [began + entry for entry in kept if entry < shared],
                [here + entry - shared for entry in kept if entry >= shared],
            )
        )
        moves = torch.tensor([place - entry for place, entry in enumerate(kept)], device=self.model.model.device)
        cos, sin = rotation(self.model.model, moves)
        end = here + len(kept)
        for layer, (keys, values) in enumerate(zip(self._own.keys, self._own.values, strict=True)):
            staying = keys[row, :, in_slots], values[row, :, in_slots]
            if len(in_memory):
                assert self.memory is not None, "a row sees no memory where there is none"
                past = self.memory.keys[layer][0, :, in_memory], self.memory.values[layer][0, :, in_memory]
                staying = torch.cat([past[0], staying[0]], dim=1), torch.cat([past[1], staying[1]], dim=1)
            keys[row, :, here:end] = rotate(staying[0], cos, sin)
            values[row, :, here:end] = staying[1]
        self.seen[row] = min(self.seen[row], began)
        self.used[row] = end


class _RowCache:
    """Keys and values of each row's own entries: (rows, key-value heads, capacity + 1, head dimension) a layer.

    Zeros from the start, because what a mask hides must still be a number. The last slot takes the padding.
    """

    def __init__(self, model: Any, rows: int, capacity: int) -> None:
        config = model.config
        shape = (rows, config.num_key_value_heads, capacity + 1, head_width(config))
        layers = range(config.num_hidden_layers)
        self.keys = [torch.zeros(shape, dtype=model.dtype, device=model.device) for _ in layers]
        self.values = [torch.zeros_like(keys) for keys in self.keys]
        self.capacity = capacity
        self.rows = torch.arange(rows, device=model.device)[:, None]
        self.slots: torch.Tensor | None = None
        self.end = self.new = 0
        self.cache = Cache(layers=[_RowLayer(self, number) for number in layers])

    def place(self, used: Sequence[int], new: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Say where the next pass writes: `new` entries a row after the `used` ones.

        Returns:
            The slots (rows, widest), and the boolean mask (rows, 1, widest, end) of what each entry sees of its own
            row, or the one of `lower_right` where rows are alike.
        """
        device, width = self.rows.device, max(new)
        at = torch.tensor(used, device=device)[:, None] + torch.arange(width, device=device)
        self.end = max(start + count for start, count in zip(used, new, strict=True))
        assert self.end <= self.capacity, f"{self.end} entries in {self.capacity} slots"
        self.new = width
        self.slots = None
        if min(new) == width and min(used) == max(used):
            return at, lower_right(device)
        ends = at[:, :1] + torch.tensor(new, device=device)[:, None]
        self.slots = torch.where(at < ends, at, self.capacity)
        return at, torch.arange(self.end, device=device) <= at[:, None, :, None]


class _RowLayer(DynamicLayer):
    """One layer of `_RowCache` in the form of a transformers cache layer."""

    def __init__(self, own: _RowCache, number: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # transformers' cache layers are untyped
        self.own, self.number = own, number

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        own = self.own
        keys, values = own.keys[self.number], own.values[self.number]
        if own.slots is None:
            keys[:, :, own.end - own.new : own.end] = key_states
            values[:, :, own.end - own.new : own.end] = value_states
        else:
            keys[own.rows, :, own.slots] = key_states.transpose(1, 2)
            values[own.rows, :, own.slots] = value_states.transpose(1, 2)
        return keys[:, :, : own.end], values[:, :, : own.end]

    def get_seq_length(self) -> int:
        return self.own.end - self.own.new
