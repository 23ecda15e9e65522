"""A generator behind an OpenAI-compatible API: OpenAI itself, DeepSeek, vLLM, Ollama, LM Studio, llama.cpp."""

from __future__ import annotations

import os
from collections.abc import Sequence

from memorag_core.errors import GenerationError, require
from memorag_core.generation.base import Generator

PREFIX = "openai:"
SECONDS = 120.0
RETRIES = 3
BYTES_A_TOKEN = 3
REASONING_TOKENS = 2048


class ApiGenerator(Generator):
    """Chat completions of one model. The key is read from `OPENAI_API_KEY`, the address from `OPENAI_BASE_URL`.

    The client retries what is worth it (refused connections, time-outs, 408, 409, 429, 5xx) with backoff.
    """

    def __init__(self, model: str, retries: int = RETRIES) -> None:
        """Connects to nothing yet.

        Raises:
            MissingExtra: the `openai` package is not installed.
            GenerationError: no key is set.
        """
        openai = require("openai", "api")
        if not (key := os.environ.get("OPENAI_API_KEY")):
            raise GenerationError(
                "OPENAI_API_KEY is not set. Set it, and OPENAI_BASE_URL for a server other than OpenAI's; a server "
                "without keys takes any value."
            )
        self.model_id = PREFIX + model
        self._model = model
        self._failures = openai.OpenAIError
        self._refused = openai.BadRequestError
        self._client = openai.OpenAI(api_key=key, timeout=SECONDS, max_retries=retries)

    def generate(self, prompt: str, max_new_tokens: int) -> str:
        turn = [{"role": "user", "content": prompt}]
        try:
            try:
                reply = self._client.chat.completions.create(
                    model=self._model, messages=turn, max_tokens=max_new_tokens, temperature=0
                )
            except self._refused as error:
                if "max_completion_tokens" not in str(error):
                    raise
                room = max_new_tokens + REASONING_TOKENS  # such models think first, out of the same budget
                reply = self._client.chat.completions.create(
                    model=self._model, messages=turn, max_completion_tokens=room
                )
        except self._failures as error:
            raise self._told(error) from None  # the library's own error may quote the request with its key
        text = (reply.choices[0].message.content or "").strip() if reply.choices else ""
        if not text:
            raise GenerationError(f"The model '{self._model}' replied with nothing; ask again, or choose another one.")
        return text

    def _told(self, error: Exception) -> GenerationError:
        status = getattr(error, "status_code", None)
        said = str(error).replace(self._client.api_key, "(key)")[:200]
        what = f"answered {status} ({said})" if status else f"could not be reached ({type(error).__name__})"
        return GenerationError(
            f"The server at {self._client.base_url} {what} for the model '{self._model}'. Check OPENAI_BASE_URL, "
            "OPENAI_API_KEY and the model's name, or choose another --generator."
        )

    def count(self, texts: Sequence[str]) -> list[int]:
        """An estimate from above: the API does not tell its tokenizer."""
        return [len(text.encode()) // BYTES_A_TOKEN + 1 for text in texts]
