"""A text read into a beacon memory, window by window, by the same passes that prompts go through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.models.beacon.model import BeaconModel, BeaconState
from memorag_core.models.beacon.prefix import BeaconPrefix
from memorag_core.models.lm.decode_batch import TOKENS_A_FORWARD
from memorag_core.models.lm.key_values import KeyValues
from memorag_core.models.lm.prefill import OnBorder, ignore_border
from memorag_core.models.lm.slots import SlotBuffers


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
    reading = BeaconReading(model, len(ids), after)
    before = reading.read
    while reading.read < before + len(ids):
        raise_if_cancelled()
        reading.go_on(ids[reading.read - before :], only_remember=True)
        if model.layout.started(reading.read) == reading.read or not model.layout.ratio:
            on_border(reading.read, reading.view())
        on_step(reading.read - before, len(ids))
    return reading.state()


class BeaconReading:
    """What is read of a text so far, in the only slot of buffers of its own."""

    def __init__(self, model: BeaconModel, tokens: int, after: BeaconState | None = None) -> None:
        """Make room for so many tokens, behind a copy of `after`."""
        self.prefix = BeaconPrefix(model)
        self.read = after.read if after else 0
        self._buffers = SlotBuffers(model.model, 1, self.prefix.most(self.read + tokens))
        self._most = max(TOKENS_A_FORWARD, model.layout.window)
        if after:
            self._buffers.begin(after.key_values)

    def feed(self, ids: Sequence[int]) -> torch.Tensor:
        """Read all of these tokens; returns the logits (1, vocabulary) that follow the last."""
        goal = self.read + len(ids)
        logits = torch.empty(0)
        while self.read < goal:
            logits = self.go_on(ids[self.read - goal :])
        return logits

    @torch.inference_mode()
    def go_on(self, ids: Sequence[int], only_remember: bool = False) -> torch.Tensor:
        """Read as many of these tokens as one pass may, and fold the window that they fill.

        Returns:
            The logits (1, vocabulary) that follow; nothing where they are only remembered.
        """
        part = ids[: self.prefix.end(self.read, self._most) - self.read]
        passes = self.prefix.pass_parts if only_remember else self.prefix.read
        with self.prefix.beacons.only_remembering() if only_remember else nullcontext():
            found = passes([part], self.read, self._buffers, 0)
        self.read += len(part)
        if self.prefix.folds(self.read):
            self.prefix.fold(self._buffers, 0, self.read)
        return found

    def view(self) -> KeyValues:
        """What it has become, as long as it reads no more; no copy."""
        entries = self.prefix.entries(self.read)
        return self._buffers.view(entries, entries)

    @torch.inference_mode()
    def state(self) -> BeaconState:
        """What it has become, in tensors of its own."""
        view = self.view()
        keys, values = (tuple(part.clone() for part in parts) for parts in (view.keys, view.values))
        return BeaconState(KeyValues(keys, values, view.next_position), self.read)
