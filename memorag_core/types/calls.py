"""What is called while work goes on, by whoever does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from memorag_core.types.contexts import ContextInfo


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long piece of work is: `done` of `total` in the unit of the stage; `fraction` of the whole job."""

    stage: str
    done: int
    total: int
    fraction: float


OnProgress = Callable[[Progress], None]
"""Called between steps, from the working thread. Raise `Cancelled` from it to stop the work."""

OnReady = Callable[[ContextInfo], None]
"""Called once a context can be searched, before its memory is made, from the working thread."""

OnStep = Callable[[int, int], None]
"""Called by one stage with (done, total), in units of its own. May raise to stop."""

Say = Callable[[str], None]
"""Hears one line about what goes on, such as a download."""

Generate = Callable[[str, int], str]
"""A generator's reply to a prompt, of at most so many tokens."""

OnText = Callable[[str], None]
"""Called with the pieces of a text as it is written, from the working thread. May raise to stop."""


def ignore_progress(_: Progress) -> None:
    """The `OnProgress` of a caller that does not want to know."""


def ignore_ready(_: ContextInfo) -> None:
    """The `OnReady` of a caller that waits for the memory."""


def ignore_text(_: str) -> None:
    """The `OnText` of a caller that waits for the whole text."""


def ignore_steps(_done: int, _total: int) -> None:
    """The `OnStep` of a caller that does not want to know."""
