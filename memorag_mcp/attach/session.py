"""What is remembered of a host's session, so that another server can go on with it: how it began, and what waits.

A message that begins a session, or subscribes, is sent again to the next server, which the host does not see. What the
server was asked and has not answered is not asked again, since it may be what the server died of: the host is told.
"""

from __future__ import annotations

import json
from typing import Any

LISTEN = "subscriptions/listen"
ASKED_AGAIN = {"initialize", LISTEN}
SERVER_ENDED = -32000
OPENING = {"initialize", "notifications/initialized", "logging/setLevel"}


class Session:
    """The state of one session, as its lines tell it."""

    def __init__(self) -> None:
        self._opening: dict[str, bytes] = {}
        self._waiting: dict[str, bytes] = {}
        self._asked: set[str] = set()
        self._unheard: set[str] = set()

    def note_sent(self, line: bytes) -> bool:
        """Take note of what the host says; whether it is for this server, and not an answer to one that has ended."""
        meant = [self._note_sent(message, line) for message in messages(line)]
        return all(meant)

    def note_received(self, line: bytes) -> bool:
        """Take note of what the server says; whether the host is to hear it."""
        heard = [self._note_received(message) for message in messages(line)]
        return all(heard)

    def take_back(self, line: bytes) -> bool:
        """Take note that a server did not hear this; whether it has to be said to the next, which nobody does yet."""
        if line in self._opening.values() or says(line, LISTEN):
            return False
        keys = [_key(message["id"]) for message in messages(line) if "id" in message and "method" in message]
        return all(self._waiting.pop(key, None) is not None for key in keys)

    def begin_again(self) -> list[bytes]:
        """What another server has to be told first."""
        listening = [line for line in self._waiting.values() if line and line not in self._opening.values()]
        lines = [*self._opening.values(), *listening]
        ids = {_key(message["id"]) for line in lines for message in messages(line) if "id" in message}
        self._unheard = ids - self._waiting.keys()
        self._asked.clear()
        return lines

    def fail(self, why: str) -> list[bytes]:
        """Errors for all that waits for an answer, which nobody will give; what can be asked again unseen goes on."""
        kept = {key: line for key, line in self._waiting.items() if line}
        failed = self._waiting.keys() - kept.keys()
        self._waiting = kept
        return [refuse(key, why) for key in failed]

    def _note_sent(self, message: dict[str, Any], line: bytes) -> bool:
        if "result" in message or "error" in message:
            return self._answers(message)
        method, parameters = str(message.get("method")), message.get("params")
        named = parameters if isinstance(parameters, dict) else {}
        if "id" in message:
            self._waiting[_key(message["id"])] = line if method in ASKED_AGAIN else b""
        if method in OPENING:
            self._opening[method] = line
        elif method == "resources/subscribe":
            self._opening[f"subscribe {named.get('uri')}"] = line
        elif method == "resources/unsubscribe":
            self._opening.pop(f"subscribe {named.get('uri')}", None)
        elif method == "notifications/cancelled":
            self._waiting.pop(_key(named.get("requestId")), None)
        return True

    def _answers(self, message: dict[str, Any]) -> bool:
        """Whether this server asked what the host answers."""
        key = _key(message.get("id"))
        asked = key in self._asked
        self._asked.discard(key)
        return asked

    def _note_received(self, message: dict[str, Any]) -> bool:
        if "id" not in message:
            return True
        key = _key(message["id"])
        if "method" in message:
            self._asked.add(key)
        elif key in self._unheard:
            self._unheard.discard(key)
            return False
        else:
            self._waiting.pop(key, None)
        return True


def messages(line: bytes) -> list[dict[str, Any]]:
    """The messages in a line; none in what is no JSON, which the server will say."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return []
    return [one for one in (said if isinstance(said, list) else [said]) if isinstance(one, dict)]


def refuse(key: str, why: str) -> bytes:
    """An error in reply to the request of this key."""
    error = {"code": SERVER_ENDED, "message": why}
    return json.dumps({"jsonrpc": "2.0", "id": json.loads(key), "error": error}).encode() + b"\n"


def says(line: bytes, method: str) -> bool:
    """Whether a line asks for this."""
    return any(message.get("method") == method for message in messages(line))


def _key(identity: Any) -> str:
    """A number and a text that look alike are two ids."""
    return json.dumps(identity)
