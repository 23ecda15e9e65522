"""What engines share: models loaded once, questions answered between the steps of memorizing, unloading."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import STORY

from memorag_core import MemoRAG, Progress, Settings, from_text
from memorag_core.concurrency.device_queue import Turns
from memorag_core.errors import Busy
from memorag_core.runtime import Shared

QUESTION = "When were the gates hung?"
MOST_ASKED = 8


def test_engines_of_two_stores_share_models_and_keep_their_contexts_apart(settings: Settings) -> None:
    one = MemoRAG(settings)
    other = MemoRAG(settings.model_copy(update={"store": settings.store / "other"}), shared=one.shared)
    one.memorize([from_text(STORY, "mill")])
    other.memorize([from_text(f"{STORY} Else.", "mill")])
    assert one.context("mill").documents != other.context("mill").documents
    assert len(one.shared.warm.values()) == 2
    assert (one.weights, one.shared.parts) == (other.weights, other.shared.parts)


def test_a_question_is_answered_between_the_steps_of_memorizing_and_both_come_out_as_alone(settings: Settings) -> None:
    engine = MemoRAG(settings)
    engine.shared.turns = Turns(8, 60.0, slice_seconds=0.0)
    engine.memorize([from_text(STORY, "mill")])
    alone = engine.answer("mill", QUESTION)
    text = f"{STORY} More. " * 8
    asked: list[object] = []
    with ThreadPoolExecutor(1) as pool:

        def on_progress(progress: Progress) -> None:
            """At the first steps a question begins to wait; the memorizing goes on when it was answered."""
            if progress.stage in {"indexing", "memorizing"} and len(asked) < MOST_ASKED:
                engine.shared.recalled.clear()
                asked.append(pool.submit(engine.answer, "mill", QUESTION))
                while not engine.shared.turns.waiting:
                    threading.Event().wait(0.001)

        long = engine.memorize([from_text(text, "long")], on_progress=on_progress)
    assert len(asked) == MOST_ASKED
    assert {future.result() for future in asked} == {alone}  # type: ignore[attr-defined]  # futures
    lonely = MemoRAG(settings.model_copy(update={"store": settings.store / "other"}), shared=engine.shared)
    info = lonely.memorize([from_text(text, "long")])
    assert engine.context(long.id).memory.notes == lonely.context(info.id).memory.notes
    assert engine.answer(long.id, QUESTION) == lonely.answer(info.id, QUESTION)


def test_a_question_that_would_wait_too_long_is_told_that_the_models_are_busy(settings: Settings) -> None:
    engine = MemoRAG(settings.model_copy(update={"queue": 1, "patience": 0.1}))
    engine.memorize([from_text(STORY, "mill")])
    with engine.shared.turns.turn(), ThreadPoolExecutor(1) as pool, pytest.raises(Busy, match="number 1"):
        pool.submit(engine.answer, "mill", QUESTION).result()
    assert engine.answer("mill", QUESTION).text


def test_idle_models_and_contexts_are_dropped_and_loaded_again_on_demand(settings: Settings) -> None:
    said: list[str] = []
    engine = MemoRAG(settings, said.append)
    engine.memorize([from_text(STORY, "mill")])
    first = engine.answer("mill", QUESTION)
    assert not engine.shared.unload(3600.0)
    assert engine.shared.unload(0.0)
    assert (engine.shared.loaded, engine.shared.warm.values(), engine.weights._loaded) == (False, [], {})
    assert not engine.shared.unload(0.0)
    assert engine.answer("mill", QUESTION) == first
    assert sum(line.startswith("loading") for line in said) == 2


def test_the_budget_of_warm_contexts_is_told_in_mebibytes(settings: Settings) -> None:
    shared = Shared(settings.model_copy(update={"warm_mib": 3}), print)
    assert shared.warm.most == 3 << 20
