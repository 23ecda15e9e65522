"""Beacon memory: a trained memory model folds the text, window by window, into the keys and values of beacons.

The memory models of MemoRAG (arXiv 2409.05591), on activation beacons (Zhang et al., arXiv 2401.03462). A memory is
[sink, beacons, unfinished window]. Questions continue it exactly as more text would, beacons and full windows
included, so that an answer is what the original computes; the memory is only read, by all rows of a batch at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from memorag_core.concurrency.progress import ProgressScope
from memorag_core.config import Profile
from memorag_core.memory.base import KeyValueMemory, Memory
from memorag_core.memory.state_journal import StateJournal
from memorag_core.models.beacon.model import BeaconModel, BeaconState
from memorag_core.models.beacon.prefix import BeaconPrefix
from memorag_core.models.beacon.reading import read
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.models.lm.prefix import Prefix
from memorag_core.models.weights import Weights
from memorag_core.types import Document


class BeaconMemory(KeyValueMemory):
    """One entry for every `ratio` tokens of the full windows, and every token of the unfinished one."""

    kind = "beacon"

    def __init__(self, lm: LanguageModel, beacons: BeaconModel) -> None:
        super().__init__(lm)
        self.beacons = beacons

    @classmethod
    def open(cls, profile: Profile, weights: Weights) -> Self:
        lm = weights.language_model(profile.memory_model)
        source = weights.source(profile.memory_model)
        return cls(lm, BeaconModel.beside(lm.model, source, profile.beacon_ratio))

    def settings(self) -> dict[str, Any]:
        layout = self.beacons.layout
        return {"ratio": layout.ratio, "window": layout.window, "sink": layout.sink}

    def memorize(self, documents: Sequence[Document], progress: ProgressScope) -> Memory:
        return self._read(self._ids(documents), progress)

    def update(
        self, memory: Memory, old: Sequence[Document], new: Sequence[Document], progress: ProgressScope
    ) -> Memory:
        """Goes on from the first token that differs, or from the border before it where that window is folded."""
        before, ids = self._ids(old), self._ids(new)
        same = next((at for at, pair in enumerate(zip(before, ids, strict=False)) if pair[0] != pair[1]), None)
        kept = self._crop(_state(memory), min(len(before), len(ids)) if same is None else same)
        return self._read(ids, progress, kept)

    def _read(self, ids: list[int], progress: ProgressScope, after: BeaconState | None = None) -> Memory:
        """The memory of all of `ids`, behind what was read of them; what is finished is kept in the journal."""
        kept, layout = StateJournal(progress.journal, ids, self.beacons.model.device), self.beacons.layout
        begun = after.read if after else 0
        further = kept.resume(layout.started(begun), layout.folded(begun), after.key_values if after else None)
        behind = BeaconState(further.state, further.read) if further else after
        rest = ids[behind.read :] if behind else ids
        return _memory(read(self.beacons, rest, progress.step, behind, kept.keep))

    def prefix(self, memory: Memory) -> Prefix:
        return BeaconPrefix(self.beacons, _state(memory))

    def _crop(self, state: BeaconState, tokens: int) -> BeaconState:
        """What was kept of the first `tokens`, or, of a window that is folded, of those before that window."""
        layout = self.beacons.layout
        if tokens < layout.started(state.read):
            tokens = layout.started(tokens)
        return BeaconState(state.key_values.first(layout.entries(tokens)), tokens)


def _memory(state: BeaconState) -> Memory:
    return Memory.of(state.key_values, {"read": state.read})


def _state(memory: Memory) -> BeaconState:
    return BeaconState(memory.state, memory.notes["read"])
