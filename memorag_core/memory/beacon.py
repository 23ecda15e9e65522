"""Beacon memory: a trained memory model folds the text, window by window, into the keys and values of beacons.

The memory models of MemoRAG (arXiv 2409.05591), on activation beacons (Zhang et al., arXiv 2401.03462). A memory is
[sink, beacons, unfinished window]. Questions continue it exactly as more text would, beacons and full windows
included, so that an answer is what the original computes; the memory is only read, by all rows of a batch at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from memorag_core.config import Profile
from memorag_core.memory.base import Memory, MemoryModel
from memorag_core.models.beacon import BeaconModel, BeaconState
from memorag_core.models.continuation import decode_after, read
from memorag_core.models.decoding import Greedy
from memorag_core.models.language_model import LanguageModel
from memorag_core.models.registry import Weights
from memorag_core.types import Document, OnStep

BETWEEN = "\n\n"


class BeaconMemory(MemoryModel):
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

    def memorize(self, documents: Sequence[Document], on_step: OnStep) -> Memory:
        first, *others = [document.text for document in documents]
        return self._read([self.lm.chat_head + first, *(BETWEEN + text for text in others)], on_step, None)

    def append(self, memory: Memory, documents: Sequence[Document], on_step: OnStep) -> Memory:
        """The memory of what `memory` holds and then these documents, as if read at once; no token is read twice."""
        return self._read([BETWEEN + document.text for document in documents], on_step, _state(memory))

    def ask(self, memory: Memory, instructions: Sequence[str], max_new_tokens: int) -> list[str]:
        prompts = self.lm.encode([BETWEEN + instruction + self.lm.chat_tail for instruction in instructions])
        greedy = Greedy(len(prompts), self.lm.stop, repetition_penalty=1.1)
        return self.lm.texts(decode_after(self.beacons, prompts, max_new_tokens, _state(memory), greedy))

    def _read(self, texts: Sequence[str], on_step: OnStep, after: BeaconState | None) -> Memory:
        # each text is tokenized alone, so that appending it later gives the same tokens
        ids = [token for encoded in self.lm.encode(texts) for token in encoded]
        state = read(self.beacons, ids, on_step, after)
        return Memory(state.key_values, {"read": state.read})


def _state(memory: Memory) -> BeaconState:
    return BeaconState(memory.state, memory.notes["read"])
