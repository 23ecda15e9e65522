"""The one interface of generators: a prompt in, a text out.

A new generator is one file that subclasses `Generator`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence


class Generator(ABC):
    """Writes the answer from the evidence it is shown."""

    model_id: str

    @abstractmethod
    def generate(self, prompt: str, max_new_tokens: int) -> str:
        """The reply to one user prompt.

        Raises:
            GenerationError: no reply could be had; says why and what to do.
        """

    @abstractmethod
    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text in the generator's own tokens, or a safe estimate where they cannot be known."""
