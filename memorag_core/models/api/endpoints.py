"""Where models behind an API are: one table, a row a kind of server. Keys come from the environment only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from memorag_core.errors import InputError

NO_THOUGHT = {"reasoning_effort": "none"}
"""Models that think would spend the room of an answer on it; by this, Ollama has them answer at once."""
NO_KEY = "none"  # the client sends one always
SHORTEST_KEY = 6


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Names of the variables that hold key, address and (Azure) API version, and the address without a variable.

    A server with `needs_key` false is asked without a key where none is set. `asked` is what each request for a reply
    has beside what all servers know.
    """

    key: str
    address: str
    default: str | None
    needs_key: bool = True
    version: str | None = None
    asked: Mapping[str, str] = field(default_factory=dict)

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that must be set."""
        needed = (self.needs_key and self.key, not self.default and self.address, self.version)
        return tuple(name for name in needed if name)

    @property
    def missing(self) -> tuple[str, ...]:
        """Those of them that are not set."""
        return tuple(name for name in self.variables if not os.environ.get(name))


LOCAL: dict[str, Any] = {"needs_key": False, "asked": NO_THOUGHT}
ENDPOINTS = {
    "openai": Endpoint("OPENAI_API_KEY", "OPENAI_BASE_URL", "https://api.openai.com/v1"),
    "azure": Endpoint("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", None, version="OPENAI_API_VERSION"),
    "deepseek": Endpoint("DEEPSEEK_API_KEY", "DEEPSEEK_BASE_URL", "https://api.deepseek.com"),
    "ollama": Endpoint(
        "OLLAMA_API_KEY", "OLLAMA_BASE_URL", "http://localhost:11434/v1", needs_key=False, asked=NO_THOUGHT
    ),
    "lmstudio": Endpoint(
        "LMSTUDIO_API_KEY", "LMSTUDIO_BASE_URL", "http://localhost:1234/v1", needs_key=False, asked=NO_THOUGHT
    ),
}


@dataclass(frozen=True, slots=True)
class ResolvedEndpoint:
    """Where one model is asked. The key is in none of its fields, so that nothing can print it."""

    endpoint: Endpoint
    model: str
    url: str

    def key(self) -> str:
        """The key, read from the environment when it is used."""
        return os.environ.get(self.endpoint.key) or NO_KEY

    def without_key(self, text: str) -> str:
        """What a server said, less the key, should it repeat it; a placeholder is no secret, and may be a word."""
        key = self.key()
        return text.replace(key, "(key)") if len(key) >= SHORTEST_KEY else text


def is_remote(name: str) -> bool:
    """Whether a model's name begins with a kind of endpoint: `openai:gpt-4o-mini`."""
    return name.partition(":")[0] in ENDPOINTS and ":" in name


def find(name: str) -> ResolvedEndpoint:
    """Where the model of that name is asked.

    Raises:
        InputError: it names no model, a variable that is needed is not set, or the address is none that can be shown.
    """
    kind, _, model = name.partition(":")
    endpoint = ENDPOINTS[kind]
    if not model:
        raise InputError(f"'{name}' names no model; write {kind}:MODEL.")
    if missing := endpoint.missing:
        are = "is" if len(missing) == 1 else "are"
        raise InputError(
            f"{' and '.join(missing)} {are} not set, which {kind}:{model} needs. Set it in the environment; "
            f"{endpoint.address} leads to another server. For a server of your own without keys, any value will do."
        )
    url = os.environ.get(endpoint.address) or endpoint.default or ""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or "@" in parts.netloc or parts.query:  # addresses are logged by libraries
        raise InputError(
            f"{endpoint.address} has to be like https://HOST/PATH, without a user, a password or a query; a key goes "
            f"into {endpoint.key}."
        )
    return ResolvedEndpoint(endpoint, model, url)
