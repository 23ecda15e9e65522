"""No memory: a context that is only indexed, and can be asked at once.

Clues then come from attention alone, where the profile has heads for it, and answers from evidence.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from memorag_core.concurrency.progress import ProgressScope
from memorag_core.config import NO_MEMORY, Profile
from memorag_core.errors import InputError
from memorag_core.memory.base import NOTES, MemoryModel
from memorag_core.models.weights import Weights
from memorag_core.text.prompts import Prompts
from memorag_core.types import Document


@dataclass(frozen=True)
class Nothing:
    """What is kept of a context."""

    tokens: int = 0
    notes: dict[str, Any] = field(default_factory=dict)


class NoMemory(MemoryModel[Nothing]):
    """Remembers nothing and recalls nothing. The model it names is the one whose attention may be indexed."""

    kind = NO_MEMORY

    def __init__(self, model_id: str, revision: str) -> None:
        self.model_id = model_id
        self.revision = revision

    @classmethod
    def open(cls, profile: Profile, weights: Weights) -> Self:
        return cls(profile.memory_model, weights.revision(profile.memory_model))

    def memorize(self, documents: Sequence[Document], progress: ProgressScope) -> Nothing:
        progress.step(1, 1)
        return Nothing()

    def update(
        self, memory: Nothing, old: Sequence[Document], new: Sequence[Document], progress: ProgressScope
    ) -> Nothing:
        return memory

    def settings(self) -> dict[str, Any]:
        return {}

    def identity(self) -> dict[str, str]:
        return {"model": self.model_id, "revision": self.revision, "dtype": ""}

    def ask(self, memory: Nothing, instructions: Sequence[str], max_new_tokens: int) -> list[str]:
        """There is nothing to answer from.

        Raises:
            InputError: always; says what to do.
        """
        raise InputError(
            "This context has no memory, so it cannot be asked from memory. Ask for an answer from evidence (memorag), "
            "or memorize it again without --memory none."
        )

    def recall(
        self, memory: Nothing, question: str, documents: Sequence[Document] = (), max_new_tokens: int = 48
    ) -> tuple[str, str]:
        return "", ""

    def key_points(self, memory: Nothing, prompts: Prompts, focus: str | None, max_new_tokens: int = 72) -> str:
        return ""

    def save(self, memory: Nothing, folder: Path) -> None:
        (folder / NOTES).write_text(json.dumps({"notes": memory.notes}), encoding="utf-8")

    def load(self, folder: Path) -> Nothing:
        return Nothing(notes=json.loads((folder / NOTES).read_text(encoding="utf-8"))["notes"])
