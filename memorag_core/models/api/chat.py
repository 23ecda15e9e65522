"""A model behind an OpenAI-compatible API, asked by streamed chat completions."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.errors import GenerationError, require
from memorag_core.models.api.endpoints import find
from memorag_core.models.streaming import StreamedText
from memorag_core.types import OnText, ignore_text

BYTES_A_TOKEN = 3
REASONING_TOKENS = 2048
SAID = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to connect, between two pieces of a reply (each attempt's first among them), and for all; attempts."""

    connect: float = 10.0
    read: float = 120.0
    total: float = 600.0
    retries: int = 3


LIMITS = Limits()


class ChatModel:
    """One model at one address. The key goes from the environment into the client of each request, and nowhere else.

    The client retries, with backoff or as the server says, what may pass: refused connections, time-outs, 408, 409,
    429 and 5xx, before the reply begins. A reply that has begun is never asked for twice. Redirects are not followed:
    the documents go to the address that was named, or nowhere.
    """

    def __init__(self, name: str, limits: Limits = LIMITS) -> None:
        """Connects to nothing yet.

        Raises:
            MissingExtra: the `openai` package is not installed.
            InputError: a variable that the endpoint needs is not set.
        """
        self.model_id = name
        self._openai = require("openai", "api")
        self._address = find(name)
        self._limits = limits

    def generate(self, prompt: str, max_new_tokens: int, on_text: OnText = ignore_text) -> str:
        """The reply to one user prompt; `on_text` is given its pieces as they come.

        A reply that reaches `max_new_tokens` ends there, as one of a local model does.

        Raises:
            GenerationError: no reply, or one that broke off; says why and what to do.
            Cancelled: the work was stopped, which is seen with each piece.
        """
        growing, whole, ended = StreamedText(on_text), "", None
        deadline = time.monotonic() + self._limits.total
        with closing(self._choices(prompt, max_new_tokens)) as choices:
            for choice in choices:
                raise_if_cancelled()
                if time.monotonic() > deadline:
                    raise self._failure(f"took more than {self._limits.total:g} s")
                whole += choice.delta.content or ""
                ended = choice.finish_reason or ended
                growing.reach(whole)
        self._check_end(ended, whole.strip(), max_new_tokens)
        return growing.end(whole)

    def count(self, texts: Sequence[str]) -> list[int]:
        """An estimate from above: the API does not tell its tokenizer."""
        return [len(text.encode()) // BYTES_A_TOKEN + 1 for text in texts]

    def _choices(self, prompt: str, max_new_tokens: int) -> Generator[Any, None, None]:
        """The pieces of the reply as the client gives them; its failures become `GenerationError`."""
        begun = False
        try:
            with self._client() as client, self._request(client, prompt, max_new_tokens) as stream:
                for chunk in stream:
                    if chunk.choices:
                        begun = True
                        yield chunk.choices[0]
        except Exception as error:  # within a stream, some clients let through what their transport and JSON raise
            raise self._translate(error, begun) from None  # the library's own error may quote the request with its key

    def _client(self) -> Any:
        """The package's client, to be closed; Azure's builds other addresses."""
        openai, address, limits = self._openai, self._address, self._limits
        common = {
            "api_key": address.key(),
            "timeout": openai.Timeout(limits.read, connect=limits.connect),
            "max_retries": limits.retries,
            "http_client": openai.DefaultHttpxClient(follow_redirects=False),
        }
        if address.endpoint.version:
            return openai.AzureOpenAI(azure_endpoint=address.url, **common)
        return openai.OpenAI(base_url=address.url, **common)

    def _request(self, client: Any, prompt: str, max_new_tokens: int) -> Any:
        create = client.chat.completions.create
        asked: dict[str, Any] = {"model": self._address.model, "messages": [{"role": "user", "content": prompt}]}
        try:
            return create(**asked, stream=True, max_tokens=max_new_tokens, temperature=0)
        except self._openai.BadRequestError as error:
            if "max_completion_tokens" not in str(error):
                raise
            room = max_new_tokens + REASONING_TOKENS  # such models think first, out of the same budget
            return create(**asked, stream=True, max_completion_tokens=room)

    def _check_end(self, ended: str | None, text: str, max_new_tokens: int) -> None:
        if ended is None:
            raise self._failure("broke off in the middle of its reply" if text else "sent no reply that can be read")
        if ended not in {"stop", "length"}:
            raise self._failure(f"ended its reply before it was whole ({ended})")
        if not text:
            spent = f" within {max_new_tokens} tokens (does it think first?)" if ended == "length" else ""
            raise self._failure(f"replied with nothing{spent}")

    def _translate(self, error: Exception, begun: bool) -> GenerationError:
        status = getattr(error, "status_code", None)
        if status in {401, 403}:  # what the server says may hold the key or parts of it
            return self._failure(f"answered {status}: it does not accept the key in {self._address.endpoint.key}")
        if status in range(300, 400):
            return self._failure(f"answered {status}: it is elsewhere, and redirects are not followed")
        said = self._address.without_key(str(error))[:SAID]
        if status:
            return self._failure(f"answered {status} ({said})")
        if "Timeout" in type(error).__name__:
            return self._failure("was silent for too long" + begun * ", in the middle of its reply")
        return self._failure(f"{'broke off in the middle of its reply' if begun else 'could not be reached'} ({said})")

    def _failure(self, what: str) -> GenerationError:
        endpoint = self._address.endpoint
        return GenerationError(
            f"The server at {self._address.url} {what}, asked for the model '{self._address.model}'. Ask again, or "
            f"check {endpoint.address}, {endpoint.key} and the model's name, or choose another model."
        )
