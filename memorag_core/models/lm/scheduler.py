"""The scheduler of a language model: requests of all threads are decoded together, each as if it were alone.

A request joins the running batch at a step, and leaves it when it is done; requests over one memory are one batch.
No thread is kept for it: one of the threads that wait for replies drives the batches, while it holds the device's
slot, and lends the slot between steps, so that the next call can begin and join. The others lend theirs meanwhile.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial

from memorag_core.concurrency.cancellation import WAIT, raise_if_cancelled
from memorag_core.concurrency.device_memory import in_halves, with_memory
from memorag_core.concurrency.device_queue import lend_slot, let_in
from memorag_core.errors import DeviceMemoryFull
from memorag_core.models.lm.decode_batch import DecodeBatch, DecodeRow, group_alike
from memorag_core.models.lm.key_values import KeyValues
from memorag_core.models.lm.prefix import Prefix

OnReplies = Callable[[list[list[int]]], None]


@dataclass(eq=False)
class Request:
    """Rows that one caller waits for, behind one prefix; `check` raises where that caller was cancelled."""

    rows: list[DecodeRow]
    prefix: Prefix
    check: Callable[[], None] = field(default_factory=lambda: partial(copy_context().run, raise_if_cancelled))
    error: BaseException | None = None
    unwanted: bool = False

    @property
    def key(self) -> int:
        """Which batch it joins."""
        if self.prefix.alone:
            return id(self)
        return id(self.prefix.memory) if self.prefix.memory else 0

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.error is not None or all(row.ended for row in self.rows)

    def rows_but(self, running: set[DecodeRow]) -> list[DecodeRow]:
        """The rows that have not ended and are not among those that run."""
        return [row for row in self.rows if not row.ended and row not in running]

    @property
    def replies(self) -> list[list[int]]:
        """What was said so far."""
        return [list(row.reply) for row in self.rows]


class DecodeScheduler:
    """Decodes what any number of threads ask for, in shared batches. The device's slot goes with who drives."""

    def __init__(self, stop: frozenset[int]) -> None:
        """Take the ids that end a row."""
        self._stop = stop
        self._changed = threading.Condition()
        self._arrived: list[Request] = []
        self._running: list[Request] = []
        self._driver: Request | None = None
        self._batches: dict[int, DecodeBatch] = {}
        self._resting: dict[int, tuple[weakref.ref[KeyValues], DecodeBatch]] = {}
        self._too_many: int | None = None

    def decode(self, rows: list[DecodeRow], prefix: Prefix, on_replies: OnReplies) -> list[list[int]]:
        """Return the new ids of each row, as `decoding.decode` would; `on_replies` hears of them while they grow."""
        request = Request(rows, prefix)
        with self._changed:
            self._arrived.append(request)
        try:
            while not request.ended:
                if self._lead(request):
                    self._drive(request, on_replies)
                else:
                    self._follow(request, on_replies)
        finally:
            self._withdraw(request)
        error, request.error = request.error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # the traceback holds this frame, which must not hold it: buffers would stay on the device
        return request.replies

    def _lead(self, request: Request) -> bool:
        """Make this request's thread the driver, if there is none."""
        with self._changed:
            self._driver = self._driver or request
            return self._driver is request

    def _drive(self, request: Request, on_replies: OnReplies) -> None:
        """Step the batches until one's own request has ended; between steps, others begin."""
        while not request.ended:
            self._step()
            raise_if_cancelled()
            on_replies(request.replies)
            if not request.ended:
                let_in()

    def _follow(self, request: Request, on_replies: OnReplies) -> None:
        """Wait while another thread drives, without the slot; or come back as the driver."""
        with lend_slot():
            while not request.ended and not self._lead(request):
                with self._changed:
                    self._changed.wait(WAIT)
                raise_if_cancelled()
                on_replies(request.replies)

    def _step(self) -> None:
        """Let the next request join, and go on by a few steps in every batch."""
        with self._changed:
            for request in [request for request in self._running if request.unwanted]:
                self._part(request)
            joining = self._arrived.pop(0) if self._arrived and self._have_room() else None
        if joining and not joining.unwanted and not joining.ended:
            self._join(joining)
        for batch in list(self._batches.values()):
            self._advance(batch)
        self._let_rest()
        with self._changed:
            self._running = [request for request in self._running if not request.ended]
            self._changed.notify_all()

    def _rows(self) -> set[DecodeRow]:
        return {row for batch in self._batches.values() for row in batch.rows}

    def _have_room(self) -> bool:
        """Whether another request may try to join: not while as many rows run as when memory ran out."""
        if self._too_many is not None and len(self._rows()) < self._too_many:
            self._too_many = None
        return self._too_many is None

    def _join(self, request: Request) -> None:
        """Read the prompts of a request, as many as there is memory for; what goes wrong there is its own."""
        if request not in self._running:
            self._running.append(request)
        try:
            for together in group_alike(request.rows_but(self._rows())):
                in_halves(together, partial(self._read, request))
        except DeviceMemoryFull as error:
            self._put_off(request, error)
        except BaseException as error:
            request.error = error
            self._part(request)

    def _read(self, request: Request, rows: Sequence[DecodeRow]) -> Sequence[DecodeRow]:
        """Let rows of a request join their batch; a new batch is kept once they have."""
        batch = self._batches.get(request.key) or self._wake(request) or DecodeBatch(request.prefix, self._stop)
        batch.join(rows, request.check)
        self._batches[request.key] = batch
        return rows

    def _put_off(self, request: Request, error: DeviceMemoryFull) -> None:
        """Let what could not join wait until rows have left; where none runs, there is nothing to wait for."""
        running = self._rows()
        if not running:
            request.error = error
            self._part(request)
            return
        with self._changed:
            self._too_many = len(running)
            self._arrived.insert(0, request)

    def _advance(self, batch: DecodeBatch) -> None:
        """Go on by a few steps; where that fails, it fails for all rows of the batch, whose buffers go."""
        try:
            with_memory(batch.advance)
        except BaseException as error:
            rows = set(batch.rows)
            for request in self._running:
                if rows & set(request.rows):
                    request.error = error
            self._batches = {key: other for key, other in self._batches.items() if other is not batch}

    def _part(self, request: Request) -> None:
        """Take the rows of a request out of its batch."""
        self._running = [other for other in self._running if other is not request]
        for batch in self._batches.values():
            for row in [row for row in batch.rows if row in request.rows]:
                batch.leave(row)

    def _let_rest(self) -> None:
        """Keep batches in which nothing runs for the next request over the same memory, as long as that is there."""
        for key, batch in list(self._batches.items()):
            if not batch.rows and key:
                del self._batches[key]
                if memory := batch.let_go():
                    gone = partial(_forget, self._resting, key)
                    self._resting[key] = weakref.ref(memory, gone), batch

    def _wake(self, request: Request) -> DecodeBatch | None:
        """The batch that rests for a request's memory."""
        _, batch = self._resting.pop(request.key, (None, None))
        if batch:
            batch.prefix = request.prefix
        return batch

    def give_up_buffers(self) -> None:
        """Drop the buffers of batches in which nothing runs. For the holder of the device's slot."""
        self._batches = {key: batch for key, batch in self._batches.items() if batch.rows}
        self._resting.clear()

    def _give_back(self) -> None:
        """Keep what rests only as far as it is not large, what was used last before all else."""
        for key, (_, batch) in list(self._resting.items()):
            if sum(other.nbytes for _, other in list(self._resting.values())) > batch.kept_bytes:
                self._resting.pop(key, None)
        self._batches = {key: batch for key, batch in self._batches.items() if batch.nbytes <= batch.kept_bytes}

    def _withdraw(self, request: Request) -> None:
        """Leave; the driver lets another thread drive, and gives back what nobody needs."""
        with self._changed:
            request.unwanted = True
            self._arrived = [other for other in self._arrived if other is not request]
            if self._driver is request:
                self._part(request)
                self._driver = None
                if not self._running and not self._arrived:
                    self._let_rest()
                    self._give_back()
            self._changed.notify_all()


def _forget(resting: dict[int, tuple[weakref.ref[KeyValues], DecodeBatch]], key: int, _: object) -> None:
    """Drop the batch of a memory that is gone."""
    resting.pop(key, None)
