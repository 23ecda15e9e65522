"""Cancel work from outside: long steps call `raise_if_cancelled`, which raises once the caller's flag is set."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from contextvars import ContextVar, copy_context
from typing import TypeVar

from memorag_core.concurrency.variables import set_within
from memorag_core.errors import Cancelled, Interrupted

WAIT = 0.2

T = TypeVar("T")


class StopFlag(threading.Event):
    """Set to stop work: for good or, if it is to go on `later`, so that what is done of it is kept."""

    later = False


_flag: ContextVar[threading.Event | None] = ContextVar("stop_flag", default=None)


def cancellable(flag: threading.Event) -> AbstractContextManager[None]:
    """Stop the work inside once `flag` is set, in this thread or in one that inherits its context variables."""
    return set_within(_flag, flag)


def raise_if_cancelled() -> None:
    """Raise `Cancelled` if the work at hand was cancelled."""
    flag = _flag.get()
    if flag is not None and flag.is_set():
        if isinstance(flag, StopFlag) and flag.later:
            raise Interrupted("The work was stopped; it goes on where it was when it is begun again.")
        raise Cancelled("The work was stopped; nothing of it was kept.")


def poll_until(acquire: Callable[[float], bool]) -> None:
    """Call `acquire(seconds)` until it returns true; the work can be cancelled between two calls."""
    while not acquire(WAIT):
        raise_if_cancelled()


def run_leavable(work: Callable[[], T]) -> T:
    """Call `work`, which the operating system may hold, in a thread that a cancel leaves behind; return its result."""
    result: Future[T] = Future()
    inherited = copy_context()

    def call() -> None:
        try:
            result.set_result(inherited.run(work))
        except BaseException as error:  # whatever it is, it is raised where the result is awaited
            result.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    poll_until(lambda seconds: bool(wait([result], seconds).done))
    return result.result()
