"""Lite memory: an instruct model writes a gist of every chunk and remembers all gists (MemoRAG's `memorag_lite`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import psutil
import torch

from memorag_core.concurrency.progress import ProgressScope
from memorag_core.config import Profile
from memorag_core.memory.base import KeyValueMemory, Memory
from memorag_core.memory.gists import GistMemory, gist_of
from memorag_core.models.lm.attention import head_width
from memorag_core.models.lm.decode_batch import TOKENS_A_FORWARD
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.models.weights import Weights
from memorag_core.types import ignore_steps

MAX_BATCH = 8
ACTIVATION_BYTES_A_TOKEN = 64


class LiteMemory(GistMemory[Memory], KeyValueMemory):
    """Gists by the model that remembers them, as a key-value state."""

    kind = "lite"

    def __init__(self, lm: LanguageModel, chunk: int = 4096, gist: int = 256, budget: int = 8192) -> None:
        room = lm.window - 512
        GistMemory.__init__(self, min(chunk, room - gist), gist, min(budget, room))
        KeyValueMemory.__init__(self, lm)

    @classmethod
    def open(cls, profile: Profile, weights: Weights) -> Self:
        lm = weights.language_model(profile.memory_model)
        return cls(lm, profile.gist_chunk, profile.gist, profile.budget)

    def _count(self, texts: Sequence[str]) -> list[int]:
        return self.lm.count(texts)

    def _replies(self, requests: Sequence[str], gist: int, progress: ProgressScope) -> list[str]:
        """A batch at a time; every pass through the model is a step."""
        batch = self._batch_size()
        batches = [requests[start : start + batch] for start in range(0, len(requests), batch)]
        replies: list[str] = []
        for part, together in zip(progress.split(len(batches) + 1), batches, strict=False):  # the last one: remembering
            write = partial(self._write_gists, gist=gist, progress=part)
            replies += progress.journal.finish(gist_of(gist), together, write)
        return replies

    def _write_gists(self, requests: Sequence[str], gist: int, progress: ProgressScope) -> list[str]:
        passes = gist + self.chunk * len(requests) // TOKENS_A_FORWARD
        return self.lm.generate(requests, gist, repetition_penalty=1.1, on_forward=progress.counter(passes))

    def _remember_text(self, text: str, notes: dict[str, Any]) -> Memory:
        return Memory(self.lm.remember(text, ignore_steps), notes)

    def _batch_size(self) -> int:
        """As many chunks as fit into half of the free memory."""
        config, model = self.lm.model.config, self.lm.model
        cached = 2 * config.num_hidden_layers * config.num_key_value_heads * head_width(config)
        working = ACTIVATION_BYTES_A_TOKEN * config.hidden_size
        a_chunk = (self.chunk + self.gist) * (cached * model.dtype.itemsize + working)
        free = torch.cuda.mem_get_info(model.device)[0] if model.device.type == "cuda" else _free_ram()
        return int(max(1, min(MAX_BATCH, free // 2 // a_chunk)))


def _free_ram() -> int:
    return int(psutil.virtual_memory().available)
