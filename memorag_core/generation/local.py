"""A generator on this machine: any causal language model, the memory model itself among them."""

from __future__ import annotations

from collections.abc import Sequence

from memorag_core.generation.base import Generator
from memorag_core.models.language_model import LanguageModel


class LocalGenerator(Generator):
    """Greedy decoding with a loaded language model."""

    def __init__(self, lm: LanguageModel) -> None:
        self.lm = lm
        self.model_id = lm.model_id

    def generate(self, prompt: str, max_new_tokens: int) -> str:
        return self.lm.generate([prompt], max_new_tokens, repetition_penalty=1.1)[0]

    def count(self, texts: Sequence[str]) -> list[int]:
        return self.lm.count(texts)
