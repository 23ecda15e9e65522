"""Long-LLM memory: any language model reads the text as it is, and keeps of it what its window holds.

Exact as far as the window goes. Beyond it, or on request, compressed without training and without knowing what will
be asked, a segment at a time (`models.lm.prefill`, `models.lm.kv_compression`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any, Self

from memorag_core.concurrency.progress import ProgressScope
from memorag_core.config import Prefill, Profile
from memorag_core.errors import InputError
from memorag_core.memory.base import KeyValueMemory, Memory
from memorag_core.memory.state_journal import StateJournal
from memorag_core.models.lm.kv_compression import EXPECTED_ATTENTION, SCORERS, Scorer
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.models.lm.minference import sparse_attention
from memorag_core.models.lm.prefill import PrefillPlan, PrefillState, Replay, read
from memorag_core.models.lm.rope import supports_shift
from memorag_core.models.weights import Weights
from memorag_core.types import PARAGRAPH_BREAK, Document

RATIOS = (1, 2, 4, 8, 16, 32, 64)
SEGMENT = 4096
FOR_QUESTIONS = 1024
REPEAT = "Repeat the text above word for word, from where it says: "


class LongMemory(KeyValueMemory):
    """One of `compression` entries for every token, or fewer where more would not fit into the window.

    >>> from memorag_core import from_text
    >>> from memorag_core.concurrency.progress import SILENT
    >>> model = LongMemory(LanguageModel.load(folder, "cpu"))
    >>> memory = model.memorize([from_text("It rained in Oslo on Monday.")], SILENT)
    >>> memory.notes["ratio"]
    1
    >>> answer = model.answer(memory, "Where did it rain?")
    """

    kind = "long"

    def __init__(
        self,
        lm: LanguageModel,
        compression: int = 1,
        scorer: Scorer = EXPECTED_ATTENTION,
        segment: int = SEGMENT,
        prefill: Prefill = "dense",
    ) -> None:
        """Make a memory model of any language model.

        Args:
            compression: the least ratio to compress by; 1 keeps all while it fits.
            scorer: what says which entries are kept.
            segment: tokens compressed at a time, at most; a power of two, and at most a quarter of the window.
            prefill: how to read what is not compressed.
        """
        super().__init__(lm)
        self.compression = compression
        self.scorer = scorer
        self.prefill = prefill
        self.segment = 1 << (min(segment, lm.window // 4).bit_length() - 1)
        self._replay = self._ask_to_repeat() if scorer.replays else None
        self._entries = lm.window - min(FOR_QUESTIONS, lm.window // 4)
        self._sparse = sparse_attention(lm.model.device) if prefill == "minference" else None

    @classmethod
    def open(cls, profile: Profile, weights: Weights) -> Self:
        lm = weights.language_model(profile.memory_model)
        return cls(lm, profile.compression, SCORERS[profile.compression_method], prefill=profile.prefill)

    def settings(self) -> dict[str, Any]:
        return {
            "compression": self.compression,
            "method": self.scorer.name,
            "segment": self.segment,
            "prefill": self.prefill,
        }

    def memorize(self, documents: Sequence[Document], progress: ProgressScope) -> Memory:
        ids = self._ids(documents)
        return self._memory(ids, self._plan_prefill(len(ids)), progress)

    def update(
        self, memory: Memory, old: Sequence[Document], new: Sequence[Document], progress: ProgressScope
    ) -> Memory:
        """The memory of `new`, given that `memory` is that of `old`: only what lies behind their common beginning is
        read again. All is, where `new` needs another ratio than `old`; `notes["ratio"]` says which it has.
        """
        ids = self._ids(new)
        how = self._plan_prefill(len(ids))
        if how.ratio != memory.notes["ratio"]:
            return self._memory(ids, how, progress)
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(self._ids(old), ids, strict=False))
        known = how.resume(sum(1 for _ in alike), memory.notes["read"])
        return self._memory(ids, replace(how, sparse=None), progress, PrefillState(memory.state, known))

    def _ask_to_repeat(self) -> Replay:
        """What a user would say, and how the reply begins."""
        lead, tail = self.lm.encode([PARAGRAPH_BREAK + REPEAT, self.lm.chat_tail])
        return Replay(lead, tail)

    def _plan_prefill(self, tokens: int) -> PrefillPlan:
        """The least ratio that is asked for and lets a text fit into the window beside a question."""
        ratios = [ratio for ratio in RATIOS if self.compression <= ratio <= self.segment]
        ways = (PrefillPlan(self.segment, ratio, self.scorer, self._replay) for ratio in ratios)
        how = next((how for how in ways if self._fits(how, tokens)), None)
        if how is None:
            raise InputError(
                f"The text has {tokens:,} tokens; {self.lm.model_id} has a window of {self.lm.window:,}, too small "
                f"for it even when compressed {ratios[-1]} to 1. Memorize less of it, or choose a memory model with a "
                "larger window (--memory-model)."
            )
        if how.ratio == 1:
            return replace(how, sparse=self._sparse)
        if not supports_shift(self.lm.model):
            raise InputError(
                f"{self.lm.model_id} cannot compress its memory, because the positions of its entries cannot be moved. "
                f"Memorize at most {self._entries:,} tokens without compression (this text has {tokens:,}), or choose "
                "another memory model, such as a Llama, Qwen2 or Mistral."
            )
        return how

    def _fits(self, how: PrefillPlan, tokens: int) -> bool:
        return how.most(tokens) <= self._entries and how.farthest(tokens) <= self.lm.window

    def _memory(
        self, ids: Sequence[int], how: PrefillPlan, progress: ProgressScope, after: PrefillState | None = None
    ) -> Memory:
        kept = StateJournal(progress.journal, ids, self.lm.model.device)
        begun = how.finished(after.read if after else 0)
        further = kept.resume(begun, how.entries(begun), after.state if after else None)
        state = read(self.lm.model, ids, progress.step, how, further or after, kept.keep)
        return Memory.of(state, {"read": len(ids), "ratio": how.ratio})
