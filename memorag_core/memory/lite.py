"""Lite memory: an instruct model writes a gist of every chunk and remembers all gists (MemoRAG's `memorag_lite`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import psutil
import torch

from memorag_core.chunking import split
from memorag_core.config import Profile
from memorag_core.memory.base import Memory, MemoryModel
from memorag_core.models.attention import head_width
from memorag_core.models.decoding import TOKENS_A_FORWARD
from memorag_core.models.language_model import LanguageModel
from memorag_core.models.registry import Weights
from memorag_core.prompts import Prompts, prompts_for
from memorag_core.types import Document, OnStep

ROUNDS = 8
MAX_BATCH = 8
ACTIVATION_BYTES_A_TOKEN = 64


class LiteMemory(MemoryModel):
    """Gists of `gist` tokens for chunks of `chunk` tokens, condensed again until all fit into `budget` tokens."""

    kind = "lite"

    def __init__(self, lm: LanguageModel, chunk: int = 4096, gist: int = 256, budget: int = 8192) -> None:
        super().__init__(lm)
        room = lm.window - 512
        self.chunk = min(chunk, room - gist)
        self.gist = gist
        self.budget = min(budget, room)

    @classmethod
    def open(cls, profile: Profile, weights: Weights) -> Self:
        lm = weights.language_model(profile.memory_model)
        return cls(lm, profile.gist_chunk, profile.gist, profile.budget)

    def settings(self) -> dict[str, Any]:
        return {"chunk": self.chunk, "gist": self.gist, "budget": self.budget}

    def memorize(self, documents: Sequence[Document], on_step: OnStep) -> Memory:
        prompts = prompts_for("".join(document.text[:2000] for document in documents))
        parts = [
            (document.id, start, end, document.text[start:end])
            for document in documents
            for start, end in split(document.text, self.chunk, self.lm.count)
        ]
        gists = self._condensed([text for *_, text in parts], prompts, self.gist, on_step)
        kept = self._within_budget(gists, prompts)
        state = self.lm.remember(prompts.memory.format(gists=kept), _ignore)
        on_step(1, 1)
        notes = [
            {"document": name, "start": start, "end": end, "gist": gist}
            for (name, start, end, _), gist in zip(parts, gists, strict=True)
        ]
        return Memory(state, {"gists": notes})

    def _condensed(self, texts: Sequence[str], prompts: Prompts, gist: int, on_step: OnStep) -> list[str]:
        """A gist of at most `gist` tokens of each text, a batch at a time; a text no longer than that is its own."""
        gists = list(texts)
        long = [number for number, tokens in enumerate(self.lm.count(texts)) if tokens > gist]
        batch = self._batch_size()
        batches = [long[start : start + batch] for start in range(0, len(long), batch)]
        passes = gist + self.chunk * batch // TOKENS_A_FORWARD
        for number, batch_of in enumerate(batches):
            begun = range(number * passes, (number + 1) * passes)
            on_forward = _counted(begun, (len(batches) + 1) * passes, on_step)
            asked = [prompts.gist.format(text=texts[i]) for i in batch_of]
            replies = self.lm.generate(asked, gist, repetition_penalty=1.1, on_forward=on_forward)
            for i, reply in zip(batch_of, replies, strict=True):
                gists[i] = reply
        return gists

    def _within_budget(self, gists: list[str], prompts: Prompts) -> str:
        """The gists as one text; condensed together, round after round, while they exceed the budget."""
        joined = "\n\n".join(gists)
        for _ in range(ROUNDS):
            [total] = self.lm.count([joined])
            if total <= self.budget:
                return joined
            groups = [joined[start:end] for start, end in split(joined, self.chunk, self.lm.count)]
            gist = min(self.chunk // 2, max(self.gist, self.chunk * self.budget // total))
            joined = "\n\n".join(self._condensed(groups, prompts, gist, _ignore))
        start, end = split(joined, self.budget, self.lm.count)[0]
        return joined[start:end]

    def _batch_size(self) -> int:
        """As many chunks as fit into half of the free memory."""
        config, model = self.lm.model.config, self.lm.model
        cached = 2 * config.num_hidden_layers * config.num_key_value_heads * head_width(config)
        working = ACTIVATION_BYTES_A_TOKEN * config.hidden_size
        a_chunk = (self.chunk + self.gist) * (cached * model.dtype.itemsize + working)
        free = torch.cuda.mem_get_info(model.device)[0] if model.device.type == "cuda" else _free_ram()
        return int(max(1, min(MAX_BATCH, free // 2 // a_chunk)))


def _counted(passes: range, total: int, on_step: OnStep) -> Callable[[], None]:
    """Passes through the model as steps from `passes.start` to `passes.stop`, of `total`."""
    steps = iter(passes)
    return lambda: on_step(next(steps, passes.stop), total)


def _ignore(_done: int, _total: int) -> None:
    pass


def _free_ram() -> int:
    return int(psutil.virtual_memory().available)
