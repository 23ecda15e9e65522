"""Lite memory: an instruct model writes a gist of every chunk and remembers all gists (MemoRAG's `memorag_lite`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import psutil

from memorag_core.concurrency.progress import ProgressScope
from memorag_core.config import TOO_SMALL_TO_WRITE, Profile
from memorag_core.memory.base import KeyValueMemory, Memory
from memorag_core.memory.gists import GistMemory, gist_of
from memorag_core.models.lm.head_layout import head_width
from memorag_core.models.question_reader import QuestionReader
from memorag_core.models.weights import Weights
from memorag_core.text.central import pick_sentences
from memorag_core.text.prompts import Prompts
from memorag_core.types import ignore_steps

MAX_BATCH = 8
ACTIVATION_BYTES_A_TOKEN = 64
KEY_POINTS = 4
"""How many times as long as written key points extracted ones may be: they are whole sentences."""


class LiteMemory(GistMemory[Memory], KeyValueMemory):
    """Gists by the model that remembers them, as a key-value state."""

    kind = "lite"

    def __init__(
        self, reader: QuestionReader, chunk: int = 4096, gist: int = 256, budget: int = 8192, extracts: bool = False
    ) -> None:
        """`extracts`: the model is too small to write, so a gist is the most central sentences of its chunk."""
        self.extracts = extracts
        room = reader.window - 512
        GistMemory.__init__(self, min(chunk, room - gist), gist, min(budget, room))
        KeyValueMemory.__init__(self, reader)

    @classmethod
    def open(cls, profile: Profile, weights: Weights) -> Self:
        reader = weights.question_reader(profile.memory_model)
        extracts = profile.memory_model in TOO_SMALL_TO_WRITE
        return cls(reader, profile.gist_chunk, profile.gist, profile.budget, extracts)

    def settings(self) -> dict[str, Any]:
        return super().settings() | ({"gists": "extracted"} if self.extracts else {})

    def key_points(self, memory: Memory, prompts: Prompts, focus: str | None, max_new_tokens: int = 72) -> str:
        if not self.extracts:
            return super().key_points(memory, prompts, focus, max_new_tokens)
        gists = "\n".join(note["gist"] for note in memory.notes["gists"])
        return "" if focus else pick_sentences(gists, KEY_POINTS * max_new_tokens, self.reader.count)

    def _count(self, texts: Sequence[str]) -> list[int]:
        return self.reader.count(texts)

    def _shorten(self, texts: Sequence[str], prompts: Prompts, gist: int, progress: ProgressScope) -> list[str]:
        """Write in batches, every pass through the model a step; too small a model has sentences picked for it."""
        if self.extracts:
            return [pick_sentences(text, gist, self.reader.count) for text in texts]
        requests = [prompts.gist.format(text=text) for text in texts]
        batch = self._batch_size()
        batches = [requests[start : start + batch] for start in range(0, len(requests), batch)]
        replies: list[str] = []
        for part, together in zip(progress.split(len(batches) + 1), batches, strict=False):  # the last one: remembering
            write = partial(self._write_gists, gist=gist, progress=part)
            replies += progress.journal.finish(gist_of(gist), together, write)
        return replies

    def _write_gists(self, requests: Sequence[str], gist: int, progress: ProgressScope) -> list[str]:
        from memorag_core.models.lm.decode_batch import TOKENS_A_FORWARD

        passes = gist + self.chunk * len(requests) // TOKENS_A_FORWARD
        return self.lm.generate(requests, gist, repetition_penalty=1.1, on_forward=progress.counter(passes))

    def _remember_text(self, text: str, notes: dict[str, Any]) -> Memory:
        return Memory.of(self.lm.remember(text, ignore_steps), notes)

    def _batch_size(self) -> int:
        """As many chunks as fit into half of the free memory."""
        import torch

        config, model = self.lm.model.config, self.lm.model
        cached = 2 * config.num_hidden_layers * config.num_key_value_heads * head_width(config)
        working = ACTIVATION_BYTES_A_TOKEN * config.hidden_size
        a_chunk = (self.chunk + self.gist) * (cached * model.dtype.itemsize + working)
        free = torch.cuda.mem_get_info(model.device)[0] if model.device.type == "cuda" else _free_ram()
        return int(max(1, min(MAX_BATCH, free // 2 // a_chunk)))


def _free_ram() -> int:
    return int(psutil.virtual_memory().available)
