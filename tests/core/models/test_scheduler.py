"""Requests of many threads are decoded together, and each thread gets what it gets alone."""

from __future__ import annotations

import gc
import random
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from conftest import STORY, load_exactly

from memorag_core.concurrency.cancellation import cancellable
from memorag_core.concurrency.device_queue import FairQueue, as_client
from memorag_core.errors import Cancelled
from memorag_core.models.lm.decode_batch import DecodeBatch, DecodeRow
from memorag_core.models.lm.decoding import decode
from memorag_core.models.lm.key_values import KeyValues
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.models.lm.prefix import Prefix
from memorag_core.models.lm.scheduler import DecodeScheduler

SECONDS = 60.0
CALLS = 24


@pytest.fixture(scope="module")
def lm(tiny_models: Path, device: str) -> LanguageModel:
    return load_exactly(tiny_models / "lm", device)


@pytest.fixture(scope="module")
def memories(lm: LanguageModel) -> list[KeyValues | None]:
    return [None, lm.remember(STORY, lambda done, total: None), lm.remember(STORY[:90], lambda done, total: None)]


@pytest.mark.parametrize("seed", range(4))
def test_each_client_gets_the_ids_it_gets_alone(lm: LanguageModel, memories: list[KeyValues | None], seed: int) -> None:
    [ids] = lm.encode([STORY])
    queue, scheduler = FairQueue(CALLS, SECONDS), DecodeScheduler(lm.stop)
    before = [tensor.clone() for memory in memories if memory for tensor in (*memory.keys, *memory.values)]

    def call(number: int) -> None:
        """Ask for one to three rows over one of the memories; some are cancelled on the way."""
        draw = random.Random(1000 * seed + number)
        memory, most, flag = draw.choice(memories), draw.randint(1, 16), threading.Event()
        cancelled_at = draw.choice([None, None, None, draw.randint(0, 8)])
        starts = [draw.randint(0, len(ids) - 10) for _ in range(draw.randint(1, 3))]
        prompts = [ids[start : start + draw.randint(1, 50)] for start in starts]

        def hear(replies: list[list[int]]) -> None:
            if cancelled_at is not None and len(replies[0]) >= cancelled_at:
                flag.set()

        rows = [DecodeRow(prompt, most, 1.1) for prompt in prompts]
        with as_client(str(number % 5)), cancellable(flag):
            try:
                with queue.slot() if draw.random() < 0.9 else queue.slot(patient=True):
                    found = scheduler.decode(rows, Prefix(lm.model, memory), hear)
            except Cancelled:
                assert flag.is_set()
                return
        with queue.slot(patient=True):
            assert found == [decode(Prefix(lm.model, memory), [prompt], most, lm.stop, 1.1)[0] for prompt in prompts]

    with ThreadPoolExecutor(CALLS) as pool:
        for future in [pool.submit(call, number) for number in range(CALLS)]:
            future.result(SECONDS)
    after = [tensor for memory in memories if memory for tensor in (*memory.keys, *memory.values)]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert (bool(queue.flight), queue.waiting) == (False, 0)


def test_calls_that_wait_join_the_running_batch(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    queue, scheduler, most = FairQueue(8, SECONDS), DecodeScheduler(frozenset()), [0]
    advance = DecodeBatch.advance
    waits = threading.Event()

    def count(batch: DecodeBatch) -> None:
        most[0] = max(most[0], len(batch.rows))
        advance(batch)

    monkeypatch.setattr(DecodeBatch, "advance", count)

    def call() -> None:
        with queue.slot():
            waits.wait(SECONDS)
            scheduler.decode([DecodeRow([5, 6, 7], 32)], Prefix(lm.model), lambda _: None)

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(call) for _ in range(4)]
        until(lambda: queue.waiting == 3)
        waits.set()
        for future in futures:
            future.result(SECONDS)
    assert most[0] == 4


def test_a_request_that_fails_fails_alone(lm: LanguageModel) -> None:
    scheduler = DecodeScheduler(frozenset())
    with pytest.raises(IndexError):
        scheduler.decode([DecodeRow([10**6], 4)], Prefix(lm.model), lambda _: None)
    assert len(scheduler.decode([DecodeRow([5, 6], 4)], Prefix(lm.model), lambda _: None)[0]) == 4


def until(reached: Callable[[], bool]) -> None:
    """Wait, for a bounded time, until something has happened."""
    waits = threading.Event()
    for _ in range(int(SECONDS * 100)):
        if reached():
            return
        waits.wait(0.01)
    raise AssertionError("What the test waits for did not happen.")


def test_buffers_of_a_memory_are_kept_for_its_next_question_and_no_longer_than_the_memory(lm: LanguageModel) -> None:
    scheduler, [prompt] = DecodeScheduler(lm.stop), lm.encode([STORY[:60]])
    memory = lm.remember(STORY, lambda done, total: None)

    def ask(memory: KeyValues) -> list[int]:
        return scheduler.decode([DecodeRow(prompt, 6)], Prefix(lm.model, memory), lambda _: None)[0]

    first = ask(memory)
    [(_, batch)] = scheduler._resting.values()
    assert ask(memory) == first
    assert [kept for _, kept in scheduler._resting.values()] == [batch]
    gone = weakref.ref(memory)
    del memory
    assert gone() is None
    assert not scheduler._resting


def test_what_a_failed_request_held_is_freed_with_its_error(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(batch: DecodeBatch) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(DecodeBatch, "advance", fail)
    row = DecodeRow(lm.encode([STORY])[0][:9], 6)
    gone = weakref.ref(row)
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(ValueError, match="broken"):
            DecodeScheduler(lm.stop).decode([row], Prefix(lm.model), lambda _: None)
        del row
        assert gone() is None
    finally:
        gc.enable()
