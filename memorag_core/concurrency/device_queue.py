"""Queue the threads that use a device, one at a time, fairly between the clients that they work for.

Each client has a place in every round, however many calls it makes at once; whoever is new joins the round that is on
(start-time fair queueing, Goyal, Vin & Cheng 1996, with every turn of one length). Long work gives way between its
steps; what is done in the background does so at every step, and has its turn when nobody else waits. No call waits for
long without being told: it is refused with its position in the queue. Where the queue is full, it is the client with
the most calls in it whose newest one is refused.

A call may lend its slot while others decode for it (`lend_slot`): it stays in flight, and others use the device. So
several calls are under way, and their tokens are decoded together. While one is, no other client begins more than a
few, until it has had a turn of some seconds: what goes on for minutes shares the device, and keeps nobody out.
"""

from __future__ import annotations

import itertools
import threading
import time
from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

from memorag_core.concurrency.cancellation import WAIT, raise_if_cancelled
from memorag_core.concurrency.device_memory import keep_nothing, watch_memory
from memorag_core.concurrency.flight import AT_FRONT, Flight, QueuePlace
from memorag_core.concurrency.variables import set_within
from memorag_core.errors import Busy

SECONDS_A_SLICE = 1.0
IN_BACKGROUND = " in the background"
"""What a client does there has rounds of its own, so that its questions do not pay for it."""
_client: ContextVar[str] = ContextVar("client", default="")


def as_client(client: str) -> AbstractContextManager[None]:
    """Count slots taken inside as this client's, also in threads that inherit from here."""
    return set_within(_client, client)


def ignore_wait(_: int) -> None:
    """Ignore the position in the queue; the default of `on_wait`."""


class FairQueue:
    """A queue of threads of which one works at a time. A thread that has the turn may take it again."""

    def __init__(self, most: int, patience: float, slice_seconds: float = SECONDS_A_SLICE) -> None:
        """Take how many calls may wait, how many seconds each does, and how long long work goes on between two.

        `give_up_caches`, which may be set, is called by the slot's holder when the device's memory has run out."""
        self.most = most
        self.flight = Flight()
        self.give_up_caches: Callable[[], None] = keep_nothing
        self._patience = patience
        self._slice = slice_seconds
        self._guard = threading.Lock()
        self._queue: list[QueuePlace] = []
        self._holder: int | None = None
        self._in_background = False
        self._nested = 0
        self._round = 0
        self._rounds: dict[str, int] = {}
        self._numbers = itertools.count()
        self._since = time.monotonic()

    @property
    def waiting(self) -> int:
        """The number of calls that wait."""
        return sum(not place.returning for place in list(self._queue))

    @property
    def idle_seconds(self) -> float:
        """The seconds since the last slot ended; 0 while somebody has one."""
        with self._guard:
            return 0.0 if self._holder or self.flight else time.monotonic() - self._since

    @contextmanager
    def slot(
        self, patient: bool = False, on_wait: Callable[[int], None] = ignore_wait, background: bool = False
    ) -> Iterator[None]:
        """Hold the slot for this thread; while it waits, it can be cancelled.

        Args:
            patient: wait as long as it takes, however many do.
            on_wait: hears now and then of the position in the queue, from 1; may raise to stop.
            background: let everybody else go first, also between two steps.

        Raises:
            Busy: too many wait already, or the turn did not come in time.
            DeviceMemoryFull: what is done in it needs more memory than there is.
        """
        if self._holder == threading.get_ident():
            self._nested += 1
            try:
                yield
            finally:
                self._nested -= 1
            return
        self._take(patient or background, on_wait, background)
        try:
            with set_within(_working_on, self), watch_memory(self.give_up_caches):
                raise_if_cancelled()
                yield
        finally:
            self._leave()

    def yield_slot(self) -> None:
        """Let those who wait go first, if the slice of time is over; long work calls this between two steps."""
        mine = self._holder == threading.get_ident() and not self._nested
        if not mine or not self._queue:
            return
        background = self._in_background
        if background or time.monotonic() - self._since >= self._slice:
            self._leave()
            self._take(patient=True, background=background)

    @contextmanager
    def lend(self) -> Iterator[None]:
        """Let others have this thread's slot meanwhile; the call stays in flight, and goes on before new ones begin."""
        if self._holder != threading.get_ident():
            yield
            return
        nested, self._nested = self._nested, 0
        with self._guard:
            self._pass_on()
        try:
            yield
        finally:
            self._return()
            self._nested = nested

    def let_in(self) -> None:
        """Lend the slot to the next call that may begin, if one waits, until it lends or leaves it."""
        if self._holder != threading.get_ident():
            return
        nested = self._nested
        with self._guard:
            first = self._find_next()
            if first is None:
                return
            mine = self._join_front()
            self._nested = 0
            self._give(first)
        mine.given.wait()
        self._nested = nested

    def _return(self) -> None:
        """Take the slot again for a call in flight; nothing interrupts that, as its caller counts on it."""
        with self._guard:
            place = self._join_front()
            if self._holder is None:
                self._pass_on()
        place.given.wait()

    def _join_front(self) -> QueuePlace:
        place = QueuePlace(False, AT_FRONT, next(self._numbers), threading.get_ident(), _client.get(), True)
        insort(self._queue, place)
        return place

    def _take(self, patient: bool, on_wait: Callable[[int], None] = ignore_wait, background: bool = False) -> None:
        place = self._join(patient, background)
        until = float("inf") if patient else time.monotonic() + self._patience
        try:
            while not place.given.wait(WAIT):
                raise_if_cancelled()
                self._let_late_ones_begin()
                position = self._position(place)
                on_wait(position)
                if time.monotonic() > until:
                    raise Busy(f"The models are busy: this call is number {position} of those that wait. {AGAIN}")
        except BaseException:
            self._drop_out(place)
            raise
        if place.refused:
            raise self._full()

    def _let_late_ones_begin(self) -> None:
        """Give a free slot to whoever may have it by now: calls in flight have had their turn meanwhile."""
        with self._guard:
            if self._holder is None and (first := self._find_next()):
                self._give(first)

    def _join(self, patient: bool, background: bool) -> QueuePlace:
        """Join the queue; the place is given the slot at once if nobody has it."""
        with self._guard:
            client = _client.get() + (IN_BACKGROUND if background else "")
            if not patient:
                self._make_room(client)
            self._rounds[client] = max(self._round, self._rounds.get(client, 0) + 1)
            number, thread = next(self._numbers), threading.get_ident()
            place = QueuePlace(background, self._rounds[client], number, thread, client, patient)
            insort(self._queue, place)
            if self._holder is None:
                self._pass_on()
        return place

    def _make_room(self, client: str) -> None:
        """Where the queue is full, refuse the last call of who has the most in it, or this one of who would have."""
        waiting = [place for place in self._queue if not place.patient]
        if len(waiting) < self.most:
            return
        calls = Counter(place.client for place in waiting)
        if max(calls.values(), default=0) <= calls[client] + 1:
            raise self._full()
        [(greediest, _)] = calls.most_common(1)
        last = [place for place in waiting if place.client == greediest][-1]
        self._remove(last)
        last.refused = True
        last.given.set()

    def _full(self) -> Busy:
        return Busy(f"The models are busy: this call would be number {self.most + 1} to wait. {AGAIN}")

    def _remove(self, place: QueuePlace) -> None:
        """Take a place out of the queue; the client's later ones move up a round each."""
        free = place.round
        for later in self._queue[self._queue.index(place) + 1 :]:
            if later.client == place.client:
                later.round, free = free, later.round
        self._queue.remove(place)
        self._queue.sort()
        self._rounds[place.client] = free - 1

    def _leave(self) -> None:
        """Pass the slot on, if this thread has it; its call is in flight no more."""
        with self._guard:
            if self._holder == threading.get_ident():
                self.flight.end(self._holder)
                self._pass_on()

    def _pass_on(self) -> None:
        self._holder, self._since = None, time.monotonic()
        if first := self._find_next():
            self._give(first)
        elif not self._queue:
            self._round = 0
            self._rounds.clear()

    def _give(self, place: QueuePlace) -> None:
        """Give the slot to a place in the queue."""
        self._queue.remove(place)
        self._holder, self._since = place.thread, time.monotonic()
        self._in_background = place.background
        if not place.returning and not place.background:
            self._round = place.round
        if not place.patient:
            self.flight.begin(place.thread, place.client)
        place.given.set()

    def _find_next(self) -> QueuePlace | None:
        """The next place that may have the slot now: a call in flight first, then by rounds.

        When it is long work's turn, no call begins before those in flight have ended and the work had its slice.
        """
        for place in self._queue:
            if place.returning or (place.patient and not self.flight):
                return place
            if place.patient:
                return None
            if self.flight.admits(place.client):
                return place
        return None

    def _drop_out(self, place: QueuePlace) -> None:
        with self._guard:
            if place.refused:
                return
            if place.given.is_set():
                self.flight.end(place.thread)
                self._pass_on()
            else:
                self._remove(place)
                if self._holder is None:
                    self._pass_on()

    def _position(self, place: QueuePlace) -> int:
        with self._guard:
            return self._queue.index(place) + 1 if place in self._queue else 1


_working_on: ContextVar[FairQueue | None] = ContextVar("working_on", default=None)


@contextmanager
def lend_slot() -> Iterator[None]:
    """Lend the slot that this thread holds, if it holds one."""
    queue = _working_on.get()
    with queue.lend() if queue else nullcontext():
        yield


def let_in() -> None:
    """Lend the slot that this thread holds, if it holds one, to the next call that may begin."""
    if queue := _working_on.get():
        queue.let_in()


AGAIN = "Nothing was done; try again in a few seconds."
