"""Progress of long work: each piece of it tells its own steps, and a `ProgressScope` makes them shares of the whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.concurrency.journal import NO_JOURNAL, Journal
from memorag_core.types import OnProgress, Progress, ignore_progress


def keep_working() -> None:
    """Do nothing between two steps; the default of `pause`."""


@dataclass(frozen=True, slots=True)
class ProgressScope:
    """The share of a job that a piece of work is: from `start` to `end`, or of that, one `number` of equal `parts`.

    `report` hears of every step, then `pause` may let others work. Both are called in the working thread, and may raise
    to stop. `journal` keeps what is finished, for work that is stopped in the middle and begun again.

    >>> first, second = ProgressScope(print).stage("indexing", 0.2, 0.4).split(2)
    >>> second.step(1, 2)
    Progress(stage='indexing', done=3, total=4, fraction=0.35)
    """

    report: OnProgress = ignore_progress
    pause: Callable[[], None] = keep_working
    name: str = ""
    start: float = 0.0
    end: float = 1.0
    number: int = 0
    parts: int = 1
    journal: Journal = NO_JOURNAL

    def stage(self, name: str, start: float, end: float) -> ProgressScope:
        """The scope of a stage of the job, which is these shares of it."""
        return replace(self, name=name, start=start, end=end)

    def split(self, parts: int) -> list[ProgressScope]:
        """The scopes of pieces of work of about the same size, done one after the other."""
        return [replace(self, number=self.number * parts + n, parts=self.parts * parts) for n in range(parts)]

    def silent(self) -> ProgressScope:
        """The scope of steps that are too small to be told; others may work between them."""
        return replace(self, report=ignore_progress)

    def step(self, done: int, total: int) -> None:
        """Tell that `done` of `total` are done, in any unit.

        Raises:
            Cancelled: the work was stopped; whatever `report` and `pause` raise.
        """
        raise_if_cancelled()
        done, total = self.number * total + done, self.parts * total
        share = done / max(total, 1)
        self.report(Progress(self.name, done, total, self.start + (self.end - self.start) * share))
        self.pause()

    def counter(self, total: int) -> Callable[[], None]:
        """Make a function that tells one step more, of at most `total`, at every call."""
        steps = iter(range(1, total + 1))
        return lambda: self.step(next(steps, total), total)

    def tell_position(self, position: int) -> None:
        """Tell the position in a queue, before the work begins."""
        self.report(Progress(f"waiting as number {position}", 0, 1, 0.0))


SILENT = ProgressScope()
"""For a caller that does not want to know how far the work is."""
