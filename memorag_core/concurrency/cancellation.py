"""How work is stopped from outside: long steps call `check`, which raises once the caller's flag is set."""

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
    """Work done inside, in this thread or in one that inherits its context variables, stops once `flag` is set."""
    token = _flag.set(flag)
    try:
        yield
    finally:
        _flag.reset(token)


def raise_if_cancelled() -> None:
    """Raise `Cancelled` where the work at hand has been stopped."""
    flag = _flag.get()
    if flag is not None and flag.is_set():
        raise Cancelled("The work was stopped; nothing of it was kept.")


def poll_until(acquire: Callable[[float], bool]) -> None:
    """Try `acquire(seconds)` until it is true, ready to be stopped in between."""
    while not acquire(WAIT):
        raise_if_cancelled()
