"""A model behind an OpenAI-compatible API, asked by streamed chat completions."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.errors import GenerationError
from memorag_core.models.api.server import LIMITS, ApiServer, Limits
from memorag_core.models.streaming import StreamedText
from memorag_core.types import OnText, ignore_text

BYTES_A_TOKEN = 3
REASONING_TOKENS = 2048


def count_bytes(texts: Sequence[str]) -> list[int]:
    """Estimate the tokens of each text from above: an API does not tell its tokenizer."""
    return [len(text.encode()) // BYTES_A_TOKEN + 1 for text in texts]


class ChatModel:
    """One model of a server. A reply that has begun is never asked for twice."""

    def __init__(self, name: str, limits: Limits = LIMITS) -> None:
        """Connects to nothing yet. Raises what `ApiServer` raises."""
        self.model_id = name
        self._server = ApiServer(name, limits, GenerationError)

    def generate(self, prompt: str, max_new_tokens: int, on_text: OnText = ignore_text) -> str:
        """The reply to one user prompt; `on_text` is given its pieces as they come.

        A reply that reaches `max_new_tokens` ends there, as one of a local model does.

        Raises:
            GenerationError: no reply, or one that broke off; says why and what to do.
            Cancelled: the work was stopped, which is seen with each piece.
        """
        growing, whole, ended = StreamedText(on_text), "", None
        seconds = self._server.limits.total
        deadline = time.monotonic() + seconds
        with closing(self._choices(prompt, max_new_tokens)) as choices:
            for choice in choices:
                raise_if_cancelled()
                if time.monotonic() > deadline:
                    raise self._server.failure(f"took more than {seconds:g} s")
                whole += choice.delta.content or ""
                ended = choice.finish_reason or ended
                growing.reach(whole)
        self._check_end(ended, whole.strip(), max_new_tokens)
        return growing.end(whole)

    def count(self, texts: Sequence[str]) -> list[int]:
        """An estimate from above."""
        return count_bytes(texts)

    def _choices(self, prompt: str, max_new_tokens: int) -> Generator[Any, None, None]:
        """The pieces of the reply as the client gives them; its failures become `GenerationError`."""
        begun = False
        try:
            with self._server.client() as client, self._request(client, prompt, max_new_tokens) as stream:
                for chunk in stream:
                    if chunk.choices:
                        begun = True
                        yield chunk.choices[0]
        except Exception as error:  # within a stream, some clients let through what their transport and JSON raise
            raise self._server.translate(error, begun) from None  # the library's own may quote the request with its key

    def _request(self, client: Any, prompt: str, max_new_tokens: int) -> Any:
        create = client.chat.completions.create
        asked: dict[str, Any] = {"model": self._server.model, "messages": [{"role": "user", "content": prompt}]}
        more = self._server.address.endpoint.asked
        try:
            return create(**asked, **more, stream=True, max_tokens=max_new_tokens, temperature=0)
        except self._server.openai.BadRequestError as error:
            if any(name in str(error) for name in more):  # a server that does not know it
                return create(**asked, stream=True, max_tokens=max_new_tokens, temperature=0)
            if "max_completion_tokens" not in str(error):
                raise
            room = max_new_tokens + REASONING_TOKENS  # such models think first, out of the same budget
            return create(**asked, stream=True, max_completion_tokens=room)

    def _check_end(self, ended: str | None, text: str, max_new_tokens: int) -> None:
        if ended is None:
            what = "broke off in the middle of its reply" if text else "sent no reply that can be read"
            raise self._server.failure(what)
        if ended not in {"stop", "length"}:
            raise self._server.failure(f"ended its reply before it was whole ({ended})")
        if not text:
            spent = f" within {max_new_tokens} tokens (does it think first?)" if ended == "length" else ""
            raise self._server.failure(f"replied with nothing{spent}")
