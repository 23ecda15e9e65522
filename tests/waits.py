"""Waits that end: what is not so after a minute is a failure, not a hanging test."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 60.0


def wait_until(condition: Callable[[], object]) -> None:
    """Return as soon as the condition holds.

    Raises:
        TimeoutError: it does not hold within a minute.
    """
    end = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("What the test waits for did not happen.")
        time.sleep(0.001)
