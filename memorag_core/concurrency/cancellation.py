"""Cancel work from outside: long steps call `raise_if_cancelled`, which raises once the caller's flag is set."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from memorag_core.errors import Cancelled

WAIT = 0.2
_flag: ContextVar[threading.Event | None] = ContextVar("stop_flag", default=None)


@contextmanager
def cancellable(flag: threading.Event) -> Iterator[None]:
    """Stop the work inside once `flag` is set, in this thread or in one that inherits its context variables."""
    token = _flag.set(flag)
    try:
        yield
    finally:
        _flag.reset(token)


def raise_if_cancelled() -> None:
    """Raise `Cancelled` if the work at hand was cancelled."""
    flag = _flag.get()
    if flag is not None and flag.is_set():
        raise Cancelled("The work was stopped; nothing of it was kept.")


def poll_until(acquire: Callable[[float], bool]) -> None:
    """Call `acquire(seconds)` until it returns true; the work can be cancelled between two calls."""
    while not acquire(WAIT):
        raise_if_cancelled()
