"""A generator behind an OpenAI-compatible API: OpenAI, Azure, DeepSeek, Ollama, LM Studio, vLLM, llama.cpp."""

from __future__ import annotations

from collections.abc import Sequence

from memorag_core.concurrency.device_queue import lend_slot
from memorag_core.generation.base import Generator
from memorag_core.models.api.chat import ChatModel
from memorag_core.types import OnText, ignore_text


class ApiGenerator(Generator):
    """Chat completions of one model."""

    def __init__(self, chat: ChatModel) -> None:
        self.chat = chat
        self.model_id = chat.model_id

    def generate(self, prompt: str, max_new_tokens: int, on_text: OnText = ignore_text) -> str:
        with lend_slot():  # the device has nothing to do meanwhile
            return self.chat.generate(prompt, max_new_tokens, on_text)

    def count(self, texts: Sequence[str]) -> list[int]:
        return self.chat.count(texts)
