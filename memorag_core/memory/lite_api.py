"""Lite memory whose instruct model is behind an API: it writes the gists, and is asked with them as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from memorag_core.concurrency.progress import ProgressScope
from memorag_core.config import REMOTE_MEMORY, Profile
from memorag_core.memory.base import NOTES
from memorag_core.memory.gists import GistMemory, gist_of
from memorag_core.models.api.chat import ChatModel
from memorag_core.models.weights import Weights
from memorag_core.text.prompts import Prompts
from memorag_core.types import PARAGRAPH_BREAK


@dataclass(frozen=True)
class TextMemory:
    """The gists as the model is shown them. `tokens` is an estimate."""

    text: str
    tokens: int
    notes: dict[str, Any] = field(default_factory=dict)


class LiteApiMemory(GistMemory[TextMemory]):
    """Gists by a model behind an API, kept as text; no language model is loaded here. The documents go to the API."""

    kind = REMOTE_MEMORY

    def __init__(self, chat: ChatModel, chunk: int = 4096, gist: int = 256, budget: int = 8192) -> None:
        super().__init__(chunk, gist, budget)
        self.chat = chat

    @classmethod
    def open(cls, profile: Profile, weights: Weights) -> Self:
        return cls(ChatModel(profile.memory_model), profile.gist_chunk, profile.gist, profile.budget)

    def identity(self) -> dict[str, str]:
        return {"model": self.chat.model_id, "revision": "", "dtype": "text"}

    def ask(self, memory: TextMemory, instructions: Sequence[str], max_new_tokens: int) -> list[str]:
        asked = [memory.text + PARAGRAPH_BREAK + instruction for instruction in instructions]
        return [self.chat.generate(request, max_new_tokens) for request in asked]

    def save(self, memory: TextMemory, folder: Path) -> None:
        record = {"text": memory.text, "notes": memory.notes}
        (folder / NOTES).write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")

    def load(self, folder: Path) -> TextMemory:
        record = json.loads((folder / NOTES).read_text(encoding="utf-8"))
        return self._remember_text(record["text"], record["notes"])

    def _count(self, texts: Sequence[str]) -> list[int]:
        return self.chat.count(texts)

    def _shorten(self, texts: Sequence[str], prompts: Prompts, gist: int, progress: ProgressScope) -> list[str]:
        replies: list[str] = []
        for number, text in enumerate(texts):
            progress.step(number, len(texts) + 1)
            request = prompts.gist.format(text=text)
            replies += progress.journal.finish(gist_of(gist), [request], lambda asked: self._write(asked, gist))
        return replies

    def _write(self, requests: Sequence[str], gist: int) -> list[str]:
        return [self.chat.generate(request, gist) for request in requests]

    def _remember_text(self, text: str, notes: dict[str, Any]) -> TextMemory:
        [tokens] = self.chat.count([text])
        return TextMemory(text, tokens, notes)
