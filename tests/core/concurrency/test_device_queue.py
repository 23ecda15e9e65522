"""One queue for a device: fair between clients, with a limit, stoppable; long work gives way between its steps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from waits import SECONDS, wait_until

from memorag_core.concurrency.cancellation import cancellable
from memorag_core.concurrency.device_queue import FairQueue, as_client
from memorag_core.errors import Busy, Cancelled


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as threads:
        yield threads


class Desk:
    """Work that notes who does it, over a queue whose turn this thread has until `open` is set."""

    def __init__(self, pool: ThreadPoolExecutor, turns: FairQueue) -> None:
        self.pool, self.turns, self.did = pool, turns, list[str]()
        self.open, held = threading.Event(), threading.Event()

        def hold() -> None:
            held.set()
            assert self.open.wait(SECONDS)

        self.first = self.submit("first", hold)
        assert held.wait(SECONDS)

    def submit(self, client: str, work: Callable[[], object] = lambda: None, patient: bool = False) -> Future[None]:
        """Queue up; returns once it waits, or has the turn."""
        before, started = self.turns.waiting, threading.Event()

        def run() -> None:
            started.set()
            with as_client(client), self.turns.slot(patient):
                self.did.append(client)
                work()

        future = self.pool.submit(run)
        assert started.wait(SECONDS)
        wait_until(lambda: future.done() or self.turns.waiting != before or client in self.did)
        return future


def test_every_client_has_a_place_in_every_round_however_many_calls_it_makes(pool: ThreadPoolExecutor) -> None:
    desk = Desk(pool, FairQueue(64, 60.0))
    calls = [desk.submit(client) for client in ("greedy", "greedy", "greedy", "greedy", "modest", "late", "modest")]
    desk.open.set()
    for call in calls:
        call.result(SECONDS)
    assert desk.did == ["first", "greedy", "modest", "late", "greedy", "modest", "greedy", "greedy"]


def test_one_works_at_a_time_and_all_of_many_get_their_turn(pool: ThreadPoolExecutor) -> None:
    turns, inside, most, done = FairQueue(64, 60.0), 0, 0, 0
    together = threading.Barrier(32)

    def work(number: int) -> None:
        nonlocal inside, most, done
        together.wait(SECONDS)
        for _ in range(20):
            with as_client(str(number % 5)), turns.slot(), turns.slot():
                inside += 1
                most = max(most, inside)
                inside -= 1
                done += 1

    list(pool.map(work, range(32)))
    assert (most, done, turns.waiting) == (1, 640, 0)


def test_too_many_are_told_at_once_that_it_is_busy_and_their_position(pool: ThreadPoolExecutor) -> None:
    desk = Desk(pool, FairQueue(2, 60.0))
    waiting = [desk.submit("a"), desk.submit("b")]
    with pytest.raises(Busy, match=r"number 3 to wait.*try again"):
        desk.submit("c").result(SECONDS)
    patient = desk.submit("d", patient=True)
    desk.open.set()
    for call in (*waiting, patient):
        call.result(SECONDS)
    assert desk.did == ["first", "a", "b", "d"]


def test_who_waited_too_long_is_told_its_position_and_leaves_the_queue(pool: ThreadPoolExecutor) -> None:
    desk = Desk(pool, FairQueue(8, 0.0))
    before = desk.submit("before", patient=True)
    with pytest.raises(Busy, match="number 2 of those that wait"):
        desk.submit("hasty").result(SECONDS)
    desk.open.set()
    before.result(SECONDS)
    assert desk.did == ["first", "before"]


def test_who_waits_can_be_stopped_and_hears_its_position(pool: ThreadPoolExecutor) -> None:
    desk, flag = Desk(pool, FairQueue(8, 60.0)), threading.Event()
    heard: list[int] = []

    def on_wait(position: int) -> None:
        heard.append(position)
        flag.set()

    def run() -> None:
        with cancellable(flag), desk.turns.slot(patient=True, on_wait=on_wait):
            desk.did.append("stopped")

    with pytest.raises(Cancelled):
        pool.submit(run).result(SECONDS)
    assert (heard, desk.did, desk.turns.waiting) == ([1], ["first"], 0)
    desk.open.set()


def test_long_work_lets_those_who_wait_go_first_between_its_steps(pool: ThreadPoolExecutor) -> None:
    turns = FairQueue(8, 60.0, slice_seconds=0.0)
    at_step, go_on = threading.Event(), threading.Event()
    desk = Desk(pool, turns)

    def steps() -> None:
        at_step.set()
        assert go_on.wait(SECONDS)
        turns.yield_slot()
        desk.did.append("long again")
        turns.yield_slot()

    long = desk.submit("long", steps)
    desk.open.set()
    assert at_step.wait(SECONDS)
    questions = [desk.submit(client) for client in ("one", "one", "one", "other")]
    go_on.set()
    for call in (long, *questions):
        call.result(SECONDS)
    assert desk.did == ["first", "long", "one", "other", "one", "long again", "one"]


def test_long_work_keeps_its_turn_where_nobody_waits_or_its_slice_is_not_over(pool: ThreadPoolExecutor) -> None:
    desk = Desk(pool, FairQueue(8, 60.0, slice_seconds=3600.0))
    desk.turns.yield_slot()  # this thread has no turn to give
    desk.open.set()
    desk.first.result(SECONDS)
    with desk.turns.slot():
        desk.turns.yield_slot()
        waiting = desk.submit("patient")
        desk.turns.yield_slot()
        assert "patient" not in desk.did
    waiting.result(SECONDS)


def test_a_failure_passes_the_turn_on_and_idle_time_counts_only_where_nobody_works(pool: ThreadPoolExecutor) -> None:
    turns = FairQueue(8, 60.0)
    with turns.slot():
        assert turns.idle_seconds == 0.0
    with pytest.raises(ZeroDivisionError), turns.slot():
        raise ZeroDivisionError
    assert turns.idle_seconds > 0
    with turns.slot():
        pass


def test_where_the_queue_is_full_the_last_call_of_who_has_the_most_in_it_is_refused(pool: ThreadPoolExecutor) -> None:
    desk = Desk(pool, FairQueue(3, 60.0))
    greedy = [desk.submit("greedy") for _ in range(3)]

    def ask() -> None:
        with as_client("modest"), desk.turns.slot():
            desk.did.append("modest")

    modest = pool.submit(ask)  # no more wait than before, so `submit` would not see that it does
    with pytest.raises(Busy, match="number 4"):
        greedy[2].result(30)
    with pytest.raises(Busy, match="number 4"):
        desk.submit("greedy").result(30)
    desk.open.set()
    for call in (*greedy[:2], modest):
        call.result(30)
    assert desk.did == ["first", "greedy", "modest", "greedy"]


def test_a_call_that_gave_up_does_not_put_its_clients_later_ones_back(pool: ThreadPoolExecutor) -> None:
    desk, flag = Desk(pool, FairQueue(8, 60.0)), threading.Event()

    def give_up() -> None:
        with as_client("hasty"), cancellable(flag), desk.turns.slot():
            desk.did.append("never")

    before = desk.turns.waiting
    hasty = pool.submit(give_up)
    while desk.turns.waiting == before and not hasty.done():
        flag.wait(0.001)
    calls = [desk.submit(client) for client in ("hasty", "modest", "modest")]
    flag.set()
    with pytest.raises(Cancelled):
        hasty.result(30)
    desk.open.set()
    for call in calls:
        call.result(30)
    assert desk.did == ["first", "hasty", "modest", "modest"]


def test_work_in_the_background_lets_everybody_go_first_at_every_step_and_costs_its_client_no_round(
    pool: ThreadPoolExecutor,
) -> None:
    turns, did = FairQueue(64, 60.0), list[str]()
    begun, waiting = threading.Event(), threading.Event()

    def memorize() -> None:
        with as_client("reader"), turns.slot(background=True):
            for step in range(3):
                did.append(f"step {step}")
                begun.set()
                assert waiting.wait(SECONDS)
                turns.yield_slot()

    work = pool.submit(memorize)
    assert begun.wait(SECONDS)

    def ask(client: str) -> None:
        with as_client(client), turns.slot():
            did.append(client)

    asked = []
    for client in ("other", "reader", "other"):
        asked.append(pool.submit(ask, client))
        wait_until(lambda: turns.waiting == len(asked))
    waiting.set()
    for future in (work, *asked):
        future.result(SECONDS)
    assert did == ["step 0", "other", "reader", "other", "step 1", "step 2"]
