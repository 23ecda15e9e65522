"""A model at an OpenAI-compatible server: the client that asks it, and what went wrong in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from memorag_core.errors import MemoRAGError, require
from memorag_core.models.api.endpoints import find

SAID = 200
TOO_OFTEN = 429


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to connect, between two pieces of a reply (each attempt's first among them), and for all; attempts."""

    connect: float = 10.0
    read: float = 120.0
    total: float = 600.0
    retries: int = 3


LIMITS = Limits()


class ApiServer:
    """One model at one address. The key goes from the environment into the client of each request, and nowhere else.

    The client retries, with backoff or as the server says, what may pass: refused connections, time-outs, 408, 409,
    429 and 5xx, before the reply begins. Redirects are not followed: the documents go to the address that was named,
    or nowhere.
    """

    def __init__(self, name: str, limits: Limits, error: type[MemoRAGError]) -> None:
        """Take the model's name, and the error to tell what goes wrong by; connects to nothing yet.

        Raises:
            MissingExtra: the `openai` package is not installed.
            InputError: a variable that the endpoint needs is not set.
        """
        self.openai = require("openai", "api")
        self.address = find(name)
        self.limits = limits
        self._error = error

    @property
    def model(self) -> str:
        """The model's name there."""
        return self.address.model

    def client(self) -> Any:
        """The package's client, to be closed; Azure's builds other addresses."""
        openai, address, limits = self.openai, self.address, self.limits
        common = {
            "api_key": address.key(),
            "timeout": openai.Timeout(limits.read, connect=limits.connect),
            "max_retries": limits.retries,
            "http_client": openai.DefaultHttpxClient(follow_redirects=False),
        }
        if address.endpoint.version:
            return openai.AzureOpenAI(azure_endpoint=address.url, **common)
        return openai.OpenAI(base_url=address.url, **common)

    def translate(self, error: Exception, begun: bool = False) -> MemoRAGError:
        """What the client raised, in words; `begun` says whether the reply had."""
        status = getattr(error, "status_code", None)
        if status in {401, 403}:  # what the server says may hold the key or parts of it
            return self.failure(f"answered {status}: it does not accept the key in {self.address.endpoint.key}")
        if status in range(300, 400):
            return self.failure(f"answered {status}: it is elsewhere, and redirects are not followed")
        said = self.address.without_key(str(error))[:SAID]
        if status == TOO_OFTEN:
            return self.failure(f"answered {status}: it was asked more often than it allows ({said})")
        if status:
            return self.failure(f"answered {status} ({said})")
        if "Timeout" in type(error).__name__:
            return self.failure("was silent for too long" + begun * ", in the middle of its reply")
        return self.failure(f"{'broke off in the middle of its reply' if begun else 'could not be reached'} ({said})")

    def failure(self, what: str) -> MemoRAGError:
        """An error that says what the server did, and what to do about it."""
        endpoint = self.address.endpoint
        return self._error(
            f"The server at {self.address.url} {what}, asked for the model '{self.model}'. Ask again, or "
            f"check {endpoint.address}, {endpoint.key} and the model's name, or choose another model."
        )
