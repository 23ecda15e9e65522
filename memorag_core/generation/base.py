"""The one interface of generators: a prompt in, a text out, whole or piece by piece.

A new generator is one file that subclasses `Generator`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from memorag_core.types import OnText, ignore_text


class Generator(ABC):
    """Writes the answer from the evidence it is shown."""

    model_id: str

    @abstractmethod
    def generate(self, prompt: str, max_new_tokens: int, on_text: OnText = ignore_text) -> str:
        """The reply to one user prompt, of at most `max_new_tokens` tokens.

        `on_text` is given the reply in pieces, as they come; joined, they are what is returned.

        Raises:
            GenerationError: no reply could be had, or only part of one; says why and what to do.
            Cancelled: the work was stopped.
        """

    @abstractmethod
    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text in the generator's own tokens, or a safe estimate where they cannot be known."""
