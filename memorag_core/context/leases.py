"""Leases: of all machines that share a bucket, one at a time does a piece of work. Thrift only; truth does not need it.

A lease is an object that its holder puts anew now and then. Who waits watches its tag: one that has not changed for
`SECONDS_TO_LIVE` is a dead holder's, and is taken. So no two clocks are compared.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from memorag_core.concurrency.cancellation import poll_until
from memorag_core.context.versions import tag_of, tell_failures
from memorag_core.errors import StoreError

if TYPE_CHECKING:
    from obstore import PutMode, UpdateVersion
    from obstore.store import ObjectStore

LEASES = "leases/"
SECONDS_TO_LIVE = 30.0
SECONDS_BETWEEN_RENEWALS = 10.0
SECONDS_BETWEEN_LOOKS = 0.5


class Lease:
    """The lease of one name, for one thread."""

    def __init__(self, bucket: ObjectStore, name: str) -> None:
        self._bucket = bucket
        self._path = LEASES + name
        self._tag: UpdateVersion = {}
        self._seen: tuple[UpdateVersion, float] = ({}, 0.0)

    def take(self) -> bool:
        """Take it if nobody holds it, or who holds it is dead; whether that could be done."""
        if self._put("create"):
            return True
        try:
            tag = tag_of(self._bucket.head(self._path))
        except FileNotFoundError:
            return False
        if tag != self._seen[0]:
            self._seen = (tag, time.monotonic())
        return time.monotonic() - self._seen[1] > SECONDS_TO_LIVE and self._put(tag)

    def renew(self) -> bool:
        """Show that its holder lives; whether it still is the holder's."""
        return self._put(self._tag)

    def drop(self) -> None:
        """Let others take it."""
        if self.renew():  # else it is another's by now
            self._bucket.delete(self._path)

    def _put(self, mode: PutMode) -> bool:
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with suppress(AlreadyExistsError, PreconditionError, FileNotFoundError):
            self._tag = tag_of(self._bucket.put(self._path, uuid4().bytes, mode=mode))
            return True
        return False


@contextmanager
def hold_lease(bucket: ObjectStore, where: str, name: str) -> Iterator[None]:
    """Hold the lease of a name, renewed by a thread. The wait can be cancelled."""
    lease, ended = Lease(bucket, name), threading.Event()

    def look(seconds: float) -> bool:
        with tell_failures(where):
            if lease.take():
                return True
        time.sleep(max(seconds, SECONDS_BETWEEN_LOOKS))
        return False

    poll_until(look)
    renewing = threading.Thread(target=_renew, args=(lease.renew, where, ended), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        with suppress(StoreError), tell_failures(where):
            lease.drop()  # where that fails, it ends by itself


def _renew(renew: Callable[[], bool], where: str, ended: threading.Event) -> None:
    while not ended.wait(SECONDS_BETWEEN_RENEWALS):
        with suppress(StoreError), tell_failures(where):  # the next time may do
            if not renew():
                return
