"""Bounds on connections: how many, from whom, and how long one may take to send what it began.

Whoever opens connections and sends half a request has given no token yet. Such a connection is closed after some
seconds; and where there are too many, the one that has been waited for longest makes room, so they keep nobody out.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS_FOR_A_HEAD = 10.0
SECONDS_BETWEEN_PIECES = 30.0
SECONDS_BETWEEN_REQUESTS = 75
"""Longer than most clients keep a connection (5 s): where we close it, a request that is sent just then is lost."""
MOST_CONNECTIONS = 4096
SPARE_FILES = 256
"""Files that are left for the store and the models, beside a connection each."""


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 whose connections are bounded in number, and in the time a request takes to arrive."""

    most: ClassVar = MOST_CONNECTIONS
    open: ClassVar[Counter[str]] = Counter()
    waiting: ClassVar[dict[BoundedProtocol, str]] = {}
    """Those without a whole head, or without a request under way, the oldest first, and their addresses."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._address = self.client[0] if self.client else ""
        self.open[self._address] += 1
        self._expect()
        if self.open.total() > self.most or self.open[self._address] > self.most // 2:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.open[self._address] -= 1
        if not self.open[self._address]:
            del self.open[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect(data_came=True)

    def on_response_complete(self) -> None:
        """Be among those that make room while nothing is asked here."""
        super().on_response_complete()
        if not self.transport.is_closing() and self.conn.their_state is h11.IDLE:
            self.waiting[self] = self._address

    def _expect(self, data_came: bool = False) -> None:
        """Start, restart or stop the time that the client has for what it must send next."""
        state = self.conn.their_state
        if state is h11.IDLE and (self.cycle is None or data_came) and self._timer is None:
            self.waiting.setdefault(self, self._address)
            self._set_timer(SECONDS_FOR_A_HEAD)
        elif state is h11.SEND_BODY:
            self._stop_waiting()
            self._set_timer(SECONDS_BETWEEN_PIECES)
        elif state is not h11.IDLE:
            self._stop_waiting()

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._expire, seconds)

    def _expire(self, seconds: float) -> None:
        """Close, unless it is the application that does not read on."""
        if self.flow.read_paused:
            self._set_timer(seconds)
        else:
            self.transport.abort()

    def _stop_waiting(self) -> None:
        self.waiting.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _make_room(self) -> None:
        """Close the connection that has kept its head back for longest: of this address, if that one has too many."""
        crowded = self.open[self._address] > self.most // 2
        oldest = next((one for one, address in self.waiting.items() if not crowded or address == self._address), self)
        oldest._stop_waiting()
        oldest.transport.abort()


def allow_connections() -> int:
    """Raise this process's limit of open files as far as it may; return how many connections that leaves room for."""
    try:
        import resource
    except ImportError:  # Windows counts no files
        return MOST_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + SPARE_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    files = wanted if soft == resource.RLIM_INFINITY else min(soft, wanted)
    return max(files - SPARE_FILES, files // 2)
