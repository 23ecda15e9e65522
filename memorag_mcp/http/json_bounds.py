"""A bound on how many values the JSON of a request holds, counted as its bytes arrive and before anything parses them.

Parsing makes an object of each value: 15 MiB of `[],[],` are five million, and the event loop stands still meanwhile.
Texts may be long, so what stands in strings does not count.
"""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_VALUES = 100_000
_REFUSED = {"error": f"The JSON of the request holds more than {MOST_VALUES:,} values. Send texts as strings."}


class JsonCounter:
    """Counts the values of a JSON text that comes in pieces: one for each comma, and each list or object that opens."""

    def __init__(self) -> None:
        self.values = 0
        self._in_string = False
        self._tail = b""

    def feed(self, piece: bytes) -> None:
        """Count on. A backslash at the end waits for what it escapes."""
        data = self._tail + piece
        ending = len(data) - len(data.rstrip(b"\\"))
        self._tail = b"\\" if ending % 2 else b""
        data = data.removesuffix(self._tail).replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = data.split(b'"')
        for part in parts[self._in_string :: 2]:
            self.values += part.count(b",") + part.count(b"[") + part.count(b"{")
        self._in_string ^= len(parts) % 2 == 0


def bound_json(app: ASGIApp) -> ASGIApp:
    """Wrap an application so that a request with too many values is refused with 413, unread."""

    async def bounded(scope: Scope, receive: Receive, send: Send) -> None:
        counter = JsonCounter()
        refused = False

        async def receive_counted() -> Message:
            nonlocal refused
            message = await receive()
            counter.feed(message.get("body", b""))
            if counter.values > MOST_VALUES and not refused:
                refused = True
                await JSONResponse(_REFUSED, 413)(scope, receive, send)
            return {"type": "http.disconnect"} if refused else message

        async def send_unless_refused(message: Message) -> None:
            if not refused:
                await send(message)

        await app(scope, receive_counted, send_unless_refused)

    return bounded
