"""How long the interpreter was held: no other thread could run, so no client was answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

PAUSE = 0.002


@dataclass
class Held:
    """How long, in seconds of this process's own work: a clock on the wall would count the turns of others too."""

    seconds: float = 0.0


@contextmanager
def clock() -> Iterator[Held]:
    """Measure how long the work inside takes, likewise."""
    taken, worked, began = Held(), time.process_time(), time.monotonic()
    yield taken
    taken.seconds = min(time.process_time() - worked, time.monotonic() - began)


@contextmanager
def longest_hold() -> Iterator[Held]:
    """Measure while the work inside goes on in this thread or in others."""
    held, done, ready = Held(), threading.Event(), threading.Event()

    def watch() -> None:
        worked, clock = time.process_time(), time.monotonic()
        ready.set()
        while not done.wait(PAUSE):
            now, then = time.process_time(), time.monotonic()
            held.seconds = max(held.seconds, min(now - worked, then - clock))
            worked, clock = now, then

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    ready.wait()
    try:
        yield held
    finally:
        done.set()
        watcher.join()
