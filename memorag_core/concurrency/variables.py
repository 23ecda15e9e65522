"""Context variables that have a value for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def set_within(variable: ContextVar[T], value: T) -> Iterator[None]:
    """Give a variable a value inside, in this thread and in what inherits from here; afterwards it is as before."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
