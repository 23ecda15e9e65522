"""How prompts and replies continue a beacon memory: beacons interleaved, and full windows folded while they go on.

All of it follows from how many tokens a row has read, so that the host knows before a step which rows take a beacon
with their token and which must fold a window, and the device knows where entries go. A step has one entry a row, or
two, token and beacon; where a row has no beacon due, its second entry is seen by none and written over by its next
token. A row that has folded the window in which the memory ends sees the memory only up to where that window began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from memorag_core.models.beacon.model import BeaconModel, BeaconState
from memorag_core.models.lm.attention import lower_right
from memorag_core.models.lm.graphs import StepShape
from memorag_core.models.lm.kernels import PartialAttention, attend_fully, merge_partial
from memorag_core.models.lm.key_values import KeyValues
from memorag_core.models.lm.prefix import Prefix, fill_up
from memorag_core.models.lm.rope import rotate, rotation
from memorag_core.models.lm.slots import Pair, SlotBuffers


class BeaconPrefix(Prefix):
    """A beacon memory, or none, and the beacon model that goes on behind it.

    An entry's position is its place in what its row sees: [entries of the memory, own entries].
    """

    def __init__(self, beacons: BeaconModel, state: BeaconState | None = None) -> None:
        super().__init__(beacons.model, state.key_values if state else None)
        self.beacons, self.layout = beacons, beacons.layout
        self.behind = state.read if state else 0
        self._whole, self._lasting = self.layout.entries(self.behind), self.layout.folded(self.behind)
        lasting = self.memory.first(self._lasting) if self.memory and self._lasting else None
        self._lasting_memory = lasting if self._lasting < self._whole else self.memory

    def entries(self, tokens: int) -> int:
        return self.layout.entries(self.behind + tokens) - self._visible(tokens)

    def most(self, tokens: int) -> int:
        return self.layout.most(self.behind, tokens) + 1

    def end(self, start: int, most: int) -> int:
        """Never beyond the end of a window."""
        room = self.layout.room(self.behind + start)
        return start + (most if room is None else min(most, room))

    def shape(self, tokens: Sequence[int]) -> StepShape:
        used = [self.entries(count) for count in tokens]
        due = [self.layout.is_due(self.behind + count + 1) for count in tokens]
        whole = {self._visible(count) == self._whole for count in tokens}
        entries = 2 if any(due) else 1
        full = max(used) == min(used) and any(due) == all(due)
        seen_by: Literal["all", "some", "none"] = "some" if len(whole) == 2 else "all" if True in whole else "none"
        return StepShape(len(tokens), max(used) + entries, entries, seen_by, full)

    def folds(self, tokens: int) -> bool:
        return tokens > 0 and self.layout.started(self.behind + tokens) == self.behind + tokens

    def fold(self, buffers: SlotBuffers, slot: int, tokens: int) -> None:
        """Keep the beacons of the window that a row has filled, in its slot, at the places to which they move.

        Where the window began in the memory, its first beacons are there, which others read: they are copied.
        """
        began = self.layout.folded(self.behind + tokens - self.layout.window)
        kept = self.layout.kept(self.behind + tokens)
        moves = torch.tensor([place - entry for place, entry in enumerate(kept)], device=self.model.device)
        cos, sin = rotation(self.model, moves)
        here, shared = began - self._lasting, self._whole - began if began == self._lasting else 0
        in_memory, in_slot = (
            torch.tensor(places, dtype=torch.long, device=self.model.device)
            for places in (
                [began + entry for entry in kept if entry < shared],
                [here + entry - shared for entry in kept if entry >= shared],
            )
        )
        staying = [
            self._gather(layer, (keys[slot][:, in_slot], values[slot][:, in_slot]), in_memory)
            for layer, (keys, values) in enumerate(buffers.layers)
        ]
        turned = [(rotate(keys, cos, sin), values) for keys, values in staying]
        for mine, new in zip(buffers.layers, turned, strict=True):
            for buffer, part in zip(mine, new, strict=True):
                buffer[slot, :, here : here + len(kept)] = part

    def _gather(self, layer: int, in_slot: Pair, in_memory: torch.Tensor) -> Pair:
        """What stays of a window, which begins with these entries of the memory: (key-value heads, kept, width)."""
        if self.memory is None or not len(in_memory):
            return in_slot
        keys, values = self.memory.keys[layer][0, :, in_memory], self.memory.values[layer][0, :, in_memory]
        return torch.cat([keys, in_slot[0]], dim=1), torch.cat([values, in_slot[1]], dim=1)

    def read(self, parts: Sequence[Sequence[int]], start: int, buffers: SlotBuffers, first: int) -> torch.Tensor:
        behind, width = self.behind + start, max(map(len, parts))
        ends = [self.layout.place(len(part) - 1, behind) for part in parts]
        hidden = self.pass_parts([fill_up(part, width) for part in parts], start, buffers, first)
        return self.beacons.logits(hidden[list(range(len(parts))), ends])

    def pass_parts(self, parts: Sequence[Sequence[int]], start: int, buffers: SlotBuffers, first: int) -> torch.Tensor:
        """The last hidden states of parts of one length and their beacons, whose entries are left in the slots."""
        device, read = self.model.device, self.behind + start
        used, place = self.entries(start), self.layout.entries(read)
        return self.beacons.hidden(
            torch.tensor(parts, device=device),
            read,
            position_ids=torch.arange(place, place + self.layout.place(len(parts[0]), read), device=device)[None],
            attention_mask=lower_right(device),
            past_key_values=buffers.for_prompts(first, len(parts), used),
            memory=self.memory if self._visible(start) == self._whole else self._lasting_memory,
        )

    def step(self, shape: StepShape, last: torch.Tensor, read: torch.Tensor, buffers: SlotBuffers) -> torch.Tensor:
        read = self.behind + read
        places, sees = self.layout.entries(read), self.layout.started(read) == self.layout.started(self.behind)
        slots = places - (self._lasting + (self._whole - self._lasting) * sees)
        mask = lower_right(last.device) if shape.full else buffers.mask_step(shape, slots)
        hidden = self.beacons.hidden_of_step(
            last,
            with_beacons=shape.entries == 2,
            position_ids=places[:, None] + torch.arange(shape.entries, device=last.device),
            attention_mask=mask,
            past_key_values=buffers.for_step(shape, slots),
            memory=self._memory_for(shape, sees),
        )
        return self.beacons.logits(hidden[:, 0])

    def _visible(self, tokens: int) -> int:
        """The entries of the memory that a row sees after so many tokens."""
        same = self.layout.started(self.behind + tokens) == self.layout.started(self.behind)
        return self._whole if same else self._lasting

    def _memory_for(self, shape: StepShape, sees: torch.Tensor) -> KeyValues | None:
        """The memory as far as the rows of a step see it."""
        if shape.end_seen_by == "all" or self.memory is None:
            return self.memory
        if shape.end_seen_by == "none":
            return self._lasting_memory
        return PartedKeyValues(self.memory.keys, self.memory.values, self.memory.next_position, self._lasting, sees)


@dataclass(frozen=True)
class PartedKeyValues(KeyValues):
    """A state of which every row of a batch sees the `lasting` first entries, and only some rows those behind them."""

    lasting: int
    sees: torch.Tensor

    def attend(self, layer: int, query: torch.Tensor, scale: float) -> PartialAttention:
        keys, values = self.keys[layer], self.values[layer]
        behind = attend_fully(query, keys[:, :, self.lasting :], values[:, :, self.lasting :], scale)
        behind = replace(behind, lse=behind.lse.masked_fill(~self.sees[:, None, None], float("-inf")))
        if not self.lasting:
            return behind
        before = attend_fully(query, keys[:, :, : self.lasting], values[:, :, : self.lasting], scale)
        return merge_partial([before, behind])
