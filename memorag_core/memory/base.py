"""The one interface of memory models: read a context once, be asked often.

A new kind of memory is one file that subclasses `MemoryModel` and says how a context becomes a `Memory`; asking,
saving and loading are the same for all, because every memory is a key-value state that prompts are decoded over.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from memorag_core.config import Profile, Storage
from memorag_core.models import stored
from memorag_core.models.attention import KeyValues
from memorag_core.models.language_model import LanguageModel
from memorag_core.models.registry import Weights
from memorag_core.prompts import Prompts, prompts_for, render_focus
from memorag_core.types import Document, OnStep

TENSORS = "memory.safetensors"
NOTES = "memory.json"


@dataclass(frozen=True)
class Memory:
    """What a memory model keeps of a context: a key-value state, and notes that JSON can hold."""

    state: KeyValues
    notes: dict[str, Any] = field(default_factory=dict)


class MemoryModel(ABC):
    """A language model that remembers. One instance serves any number of memories; it keeps none itself."""

    kind: ClassVar[str]

    def __init__(self, lm: LanguageModel) -> None:
        self.lm = lm

    @classmethod
    @abstractmethod
    def open(cls, profile: Profile, weights: Weights) -> Self:
        """The memory model that a profile names, its weights loaded."""

    @abstractmethod
    def memorize(self, documents: Sequence[Document], on_step: OnStep) -> Memory:
        """Read the documents once. `on_step(done, total)` is called at least at every window; it may raise."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What besides the weights decides the memory; part of a context's identity."""

    def ask(self, memory: Memory, instructions: Sequence[str], max_new_tokens: int) -> list[str]:
        """Reply to the instructions as one batch over the memory, which is read and not changed."""
        return self.lm.generate(instructions, max_new_tokens, memory.state, repetition_penalty=1.1)

    def recall(self, memory: Memory, question: str, max_new_tokens: int = 48) -> tuple[str, str]:
        """Raw clues for a question: sentences of the text, and questions to look up; one of each a line."""
        prompts = prompts_for(question)
        asked = [template.format(question=question) for template in (prompts.spans, prompts.questions)]
        spans, questions = self.ask(memory, asked, max_new_tokens)
        return spans, questions

    def rewrite(self, memory: Memory, question: str, max_new_tokens: int = 64) -> str:
        """The question in words that stand without the text."""
        return self.ask(memory, [prompts_for(question).rewrite.format(question=question)], max_new_tokens)[0]

    def answer(self, memory: Memory, question: str, max_new_tokens: int = 48) -> str:
        """The answer from memory alone."""
        return self.ask(memory, [prompts_for(question).qa.format(question=question)], max_new_tokens)[0]

    def key_points(self, memory: Memory, prompts: Prompts, focus: str | None, max_new_tokens: int = 72) -> str:
        """The context's key points, one a line."""
        request = prompts.key_points.format(focus=render_focus(prompts, focus))
        return self.ask(memory, [request], max_new_tokens)[0]

    def save(self, memory: Memory, folder: Path, storage: Storage = "half") -> None:
        """Write `memory.safetensors` and `memory.json` into `folder`."""
        stored.save(memory.state, folder / TENSORS, storage)
        record = {"next_position": memory.state.next_position, "notes": memory.notes}
        (folder / NOTES).write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")

    def load(self, folder: Path) -> Memory:
        """What `save` wrote, for the model's device and dtype; keys and values are read when first needed."""
        record = json.loads((folder / NOTES).read_text(encoding="utf-8"))
        state = stored.load(folder / TENSORS, record["next_position"], self.lm.model)
        return Memory(state, record["notes"])
