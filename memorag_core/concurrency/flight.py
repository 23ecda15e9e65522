"""Calls that wait for a device, and calls in flight: begun and not ended, of which one at a time uses the device."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

LANES = 8
"""Calls in flight at once; a client that has none may be one more."""
MOST_OVERTAKING = 2
"""Calls that a client may begin while another client's call is in flight."""
AT_FRONT = -1
"""The round of calls in flight that want the device's slot again."""


@dataclass(order=True, slots=True)
class QueuePlace:
    """A thread's place in the queue; one in the `background` is behind all others."""

    background: bool
    round: int
    number: int
    thread: int = field(compare=False)
    client: str = field(compare=False)
    patient: bool = field(compare=False)
    given: threading.Event = field(compare=False, default_factory=threading.Event)
    refused: bool = field(compare=False, default=False)

    @property
    def returning(self) -> bool:
        """Whether this is a call in flight that wants its slot again."""
        return self.round == AT_FRONT


@dataclass(eq=False, slots=True)
class _Call:
    """A call in flight, and how many each other client began since it did."""

    thread: int
    client: str
    begun_since: Counter[str] = field(default_factory=Counter)


class Flight:
    """The calls in flight, by thread and client. Whoever uses it has a lock."""

    def __init__(self, lanes: int = LANES) -> None:
        """Take how many calls there may be at once."""
        self.lanes = lanes
        self._calls: list[_Call] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    def admits(self, client: str) -> bool:
        """Whether a client's next call may begin beside the others."""
        others = [call for call in self._calls if call.client != client]
        lanes = self.lanes + (len(others) == len(self._calls))
        overtakes = any(call.begun_since[client] >= MOST_OVERTAKING for call in others)
        return len(self._calls) < lanes and not overtakes

    def begin(self, thread: int, client: str) -> None:
        """Count a thread's call as in flight."""
        for call in self._calls:
            call.begun_since[client] += 1
        self._calls.append(_Call(thread, client))

    def end(self, thread: int | None) -> None:
        """Count the call of a thread, if it has one, no more."""
        self._calls = [call for call in self._calls if call.thread != thread]
