"""Calls in flight share the device; no client begins many while another's is under way."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from memorag_core.concurrency.device_queue import FairQueue, as_client, lend_slot, let_in
from memorag_core.concurrency.flight import MOST_OVERTAKING, Flight

SECONDS = 60.0


def test_a_client_begins_at_most_two_calls_while_anothers_is_in_flight() -> None:
    flight = Flight(lanes=8)
    flight.begin(1, "modest")
    begun = 0
    while flight.admits("greedy"):
        begun += 1
        flight.begin(1 + begun, "greedy")
    assert begun == MOST_OVERTAKING
    flight.end(1)
    assert flight.admits("greedy")


def test_a_client_that_has_no_call_in_flight_may_begin_one_where_another_has_all_lanes() -> None:
    flight = Flight(lanes=2)
    flight.begin(1, "greedy")
    flight.begin(2, "greedy")
    assert not flight.admits("greedy")
    assert flight.admits("modest")


def test_while_a_call_lends_its_slot_the_next_one_begins_and_long_work_waits_until_both_have_ended() -> None:
    queue, order = FairQueue(8, SECONDS), list[str]()
    lends, ends = threading.Event(), threading.Event()

    def lend() -> None:
        with as_client("one"), queue.slot():
            order.append("one begins")
            with lend_slot():
                lends.set()
                ends.wait(SECONDS)
            order.append("one ends")

    def work_long() -> None:
        with queue.slot(patient=True):
            order.append("long work")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lend)
        assert lends.wait(SECONDS)
        with as_client("other"), queue.slot():
            order.append("other begins")
            long = pool.submit(work_long)
            while not queue.waiting:
                ends.wait(0.001)
            let_in()  # nobody else may begin before the long work
            ends.set()
            order.append("other ends")
        first.result(SECONDS)
        long.result(SECONDS)
    assert order == ["one begins", "other begins", "other ends", "one ends", "long work"]
    assert not queue.flight
