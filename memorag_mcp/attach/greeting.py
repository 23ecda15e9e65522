"""How a host and a server that share a secret greet each other, before anything else is said.

The server sends a challenge; the host its proof, a challenge of its own, and where it may read; the server its proof.
So neither speaks to a stranger who took a dead server's port. Each is one line of JSON.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Any


class Refused(ConnectionError):
    """Who is at the other end does not know the secret, or hung up."""


@dataclass(frozen=True)
class Hello:
    """What a host tells of itself: the folder it is in, and the folders it lets be read."""

    folder: str
    allow: tuple[str, ...]


def challenge() -> bytes:
    """A line that nobody can have heard before."""
    return _line(challenge=secrets.token_hex())


def introduce(secret: str, challenged: bytes, hello: Hello) -> bytes:
    """The host's line, in reply to the server's challenge."""
    proof = _prove(secret, "host", challenged)
    return _line(proof=proof, challenge=secrets.token_hex(), folder=hello.folder, allow=hello.allow)


def recognize(secret: str, challenged: bytes, introduced: bytes) -> Hello:
    """What the host told.

    Raises:
        Refused: it does not know the secret.
    """
    told = _read(introduced)
    if not hmac.compare_digest(str(told.get("proof")), _prove(secret, "host", challenged)):
        raise Refused("A stranger tried to attach.")
    return Hello(str(told["folder"]), tuple(told["allow"]))


def welcome(secret: str, introduced: bytes) -> bytes:
    """The server's line, in reply to a host that it knows."""
    return _line(proof=_prove(secret, "server", introduced))


def check_welcome(secret: str, introduced: bytes, welcomed: bytes) -> None:
    """Raise `Refused` unless the server knows the secret too."""
    if not hmac.compare_digest(str(_read(welcomed).get("proof")), _prove(secret, "server", introduced)):
        raise Refused("What listens there is no server of ours.")


def _prove(secret: str, who: str, challenged: bytes) -> str:
    return hmac.new(secret.encode(), who.encode() + challenged.strip(), hashlib.sha256).hexdigest()


def _line(**told: Any) -> bytes:
    return json.dumps(told).encode() + b"\n"


def _read(line: bytes) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise Refused("The other end hung up.")
    return told
