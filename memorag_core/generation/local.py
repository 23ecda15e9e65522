"""A generator on this machine: any causal language model, the memory model itself among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memorag_core.generation.base import Generator
from memorag_core.models.question_reader import QuestionReader
from memorag_core.types import OnText, ignore_text

if TYPE_CHECKING:
    from memorag_core.models.lm.language_model import LanguageModel


class LocalGenerator(Generator):
    """Greedy decoding with a language model, which is loaded when it first writes."""

    def __init__(self, reader: QuestionReader) -> None:
        self.reader = reader
        self.model_id = reader.model_id

    @property
    def lm(self) -> LanguageModel:
        """The language model, loaded now if need be."""
        return self.reader.whole

    def generate(self, prompt: str, max_new_tokens: int, on_text: OnText = ignore_text) -> str:
        return self.lm.write(prompt, max_new_tokens, on_text, repetition_penalty=1.1)

    def count(self, texts: Sequence[str]) -> list[int]:
        return self.reader.count(texts)
