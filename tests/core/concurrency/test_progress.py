"""Progress: steps of a piece of work become shares of the whole, and every step is a place to stop."""

from __future__ import annotations

from threading import Event

import pytest

from memorag_core.concurrency.cancellation import cancellable
from memorag_core.concurrency.progress import SILENT, ProgressScope
from memorag_core.errors import Cancelled
from memorag_core.types import Progress


def test_steps_of_parts_of_parts_are_told_as_shares_of_their_stage() -> None:
    told: list[Progress] = []
    stage = ProgressScope(told.append).stage("indexing", 0.2, 0.6)
    for part in stage.split(2):
        for piece in part.split(2):
            piece.step(5, 10)
    assert [(progress.stage, progress.done, progress.total) for progress in told] == [
        ("indexing", done, 40) for done in (5, 15, 25, 35)
    ]
    assert [progress.fraction for progress in told] == pytest.approx([0.25, 0.35, 0.45, 0.55])


def test_a_counter_tells_one_step_more_at_each_call_and_never_too_many() -> None:
    told: list[Progress] = []
    count = ProgressScope(told.append).counter(2)
    for _ in range(4):
        count()
    assert [progress.done for progress in told] == [1, 2, 2, 2]


def test_others_may_work_after_each_step_is_told() -> None:
    heard: list[str] = []
    scope = ProgressScope(lambda progress: heard.append(progress.stage), lambda: heard.append("pause"))
    scope.stage("memorizing", 0.0, 1.0).step(0, 0)
    scope.tell_position(3)
    assert heard == ["memorizing", "pause", "waiting as number 3"]


def test_a_step_stops_work_that_was_cancelled_though_nobody_listens() -> None:
    flag = Event()
    with cancellable(flag):
        SILENT.step(1, 2)
        flag.set()
        with pytest.raises(Cancelled):
            SILENT.step(2, 2)
