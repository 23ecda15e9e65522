"""What is done when a device's memory runs out: caches are given up and work is done again, then in halves.

Nothing is measured beforehand, because another process may take at any moment what was free. Work that is done again
must have changed nothing when it failed.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TypeVar

from memorag_core.concurrency.variables import set_within
from memorag_core.errors import DeviceMemoryFull

X = TypeVar("X")
Y = TypeVar("Y")
SIGNS = ("out of memory", "can't allocate memory", "alloc_failed", "cudnn_status_internal_error")
"""What libraries say when memory has run out; cuDNN says the last, where others take what it needs."""


def keep_nothing() -> None:
    """Give up nothing; what a queue does that keeps no caches."""


_give_up: ContextVar[Callable[[], None]] = ContextVar("give_up", default=keep_nothing)


@contextmanager
def watch_memory(caches: Callable[[], None]) -> Iterator[None]:
    """Inside, work that runs out of memory can call `caches`, which drops what is only kept for later.

    Raises:
        DeviceMemoryFull: memory ran out in work that could not be done again.
    """
    with set_within(_give_up, caches):
        try:
            yield
        except Exception as error:
            if isinstance(error, DeviceMemoryFull) or not has_run_out(error):
                raise
            said = str(error)
        else:
            return
        _drop_caches()
        raise _told(said)


def with_memory(work: Callable[[], Y]) -> Y:
    """Do work; where memory runs out, give up caches and do it once more.

    Raises:
        DeviceMemoryFull: it ran out again.
    """
    for drop in (_drop_caches, keep_nothing):
        try:
            return work()
        except Exception as error:
            if not has_run_out(error):
                raise
            said = str(error)
        drop()  # outside of the handler, because the traceback holds what the work had allocated
    raise _told(said)


def in_halves(items: Sequence[X], work: Callable[[Sequence[X]], Sequence[Y]]) -> list[Y]:
    """The results of a batch of items; where memory runs out, of its halves, down to single items.

    Raises:
        DeviceMemoryFull: there is not enough for one item.
    """
    try:
        return list(with_memory(partial(work, items)))
    except DeviceMemoryFull:
        if len(items) < 2:
            raise
    middle = len(items) // 2
    return [*in_halves(items[:middle], work), *in_halves(items[middle:], work)]


def has_run_out(error: BaseException) -> bool:
    """Whether an error says that memory has run out, on whatever device."""
    if isinstance(error, DeviceMemoryFull | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in SIGNS)


def _drop_caches() -> None:
    _give_up.get()()
    release_memory()


def release_memory() -> None:
    """Give back to the device what nothing refers to any more."""
    gc.collect()  # models are full of cycles
    if (torch := sys.modules.get("torch")) and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _told(said: str) -> DeviceMemoryFull:
    if said.startswith(FULL):
        return DeviceMemoryFull(said)
    return DeviceMemoryFull(f"{FULL} {said.strip().splitlines()[0] if said.strip() else ''}".rstrip())


FULL = (
    "The memory of the device ran out, also without caches and in the smallest batch. End what else uses the device, "
    "or start with --weights 4bit, a smaller --profile, or --device cpu. What was finished is kept. The device says:"
)
