"""What engines share: models loaded once, questions answered between the steps of memorizing, unloading."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import STORY
from waits import SECONDS, wait_until

from memorag_core import MemoRAG, Progress, Settings, from_text
from memorag_core.concurrency.device_queue import FairQueue, as_client
from memorag_core.errors import Busy
from memorag_core.runtime import Runtime

QUESTION = "When were the gates hung?"
MOST_ASKED = 8


def test_engines_of_two_stores_share_models_and_keep_their_contexts_apart(settings: Settings) -> None:
    one = MemoRAG(settings)
    other = MemoRAG(settings.model_copy(update={"store": settings.store / "other"}), shared=one.shared)
    one.memorize([from_text(STORY, "mill")])
    other.memorize([from_text(f"{STORY} Else.", "mill")])
    assert one.context("mill").documents != other.context("mill").documents
    assert len(one.shared.context_cache.values()) == 2
    assert (one.weights, one.shared.components) == (other.weights, other.shared.components)


def test_a_question_is_answered_between_the_steps_of_memorizing_and_both_come_out_as_alone(settings: Settings) -> None:
    engine = MemoRAG(settings)
    engine.shared.device_queue = FairQueue(8, 60.0, slice_seconds=0.0)
    engine.memorize([from_text(STORY, "mill")])
    alone = engine.answer("mill", QUESTION)
    text = f"{STORY} More. " * 8
    asked: list[object] = []
    with ThreadPoolExecutor(1) as pool:

        def on_progress(progress: Progress) -> None:
            """At the first steps a question begins to wait; the memorizing goes on when it was answered."""
            if progress.stage in {"indexing", "memorizing"} and len(asked) < MOST_ASKED:
                engine.shared.recall_cache.clear()
                asked.append(pool.submit(engine.answer, "mill", QUESTION))
                wait_until(lambda: engine.shared.device_queue.waiting)

        long = engine.memorize([from_text(text, "long")], on_progress=on_progress)
    assert len(asked) == MOST_ASKED
    assert {future.result(SECONDS) for future in asked} == {alone}  # type: ignore[attr-defined]  # futures
    lonely = MemoRAG(settings.model_copy(update={"store": settings.store / "other"}), shared=engine.shared)
    info = lonely.memorize([from_text(text, "long")])
    among, alone_there = engine.context(long.id).memory, lonely.context(info.id).memory
    assert among
    assert alone_there
    assert among.notes == alone_there.notes
    assert engine.answer(long.id, QUESTION) == lonely.answer(info.id, QUESTION)


def test_a_question_that_would_wait_too_long_is_told_that_the_models_are_busy(settings: Settings) -> None:
    engine = MemoRAG(settings.model_copy(update={"queue": 1, "patience": 0.1}))
    engine.memorize([from_text(STORY, "mill")])
    with engine.shared.device_queue.slot(), ThreadPoolExecutor(1) as pool, pytest.raises(Busy, match="number 1"):
        pool.submit(engine.answer, "mill", QUESTION).result(SECONDS)
    assert engine.answer("mill", QUESTION).text


def test_idle_models_and_contexts_are_dropped_and_loaded_again_on_demand(settings: Settings) -> None:
    said: list[str] = []
    engine = MemoRAG(settings, said.append)
    engine.memorize([from_text(STORY, "mill")])
    first = engine.answer("mill", QUESTION)
    assert not engine.shared.unload(3600.0)
    assert engine.shared.unload(0.0)
    assert (engine.shared.loaded, engine.shared.context_cache.values(), engine.weights._loaded) == (False, [], {})
    assert not engine.shared.unload(0.0)
    assert engine.answer("mill", QUESTION) == first
    assert sum(line.startswith("loading") for line in said) == 2


def test_what_a_lasting_runtime_loads_is_left_out_of_collections_of_garbage_until_it_is_unloaded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(gc, "freeze", lambda: done.append("freeze"))
    monkeypatch.setattr(gc, "unfreeze", lambda: done.append("unfreeze"))
    for lasting in (False, True):
        shared = Runtime(settings, done.append, lasting)
        assert shared.components
        assert shared.unload(0.0)
    assert [step for step in done if step.endswith("freeze")] == ["freeze", "unfreeze"]


def test_the_budget_of_warm_contexts_is_told_in_mebibytes(settings: Settings) -> None:
    shared = Runtime(settings.model_copy(update={"warm_mib": 3}), print)
    assert shared.context_cache.most == 3 << 20


def test_many_clients_at_once_get_the_answers_that_each_gets_alone(engine: MemoRAG) -> None:
    engine.memorize([from_text(STORY, "mill")])
    questions = [QUESTION, "Who kept the gate book?", "Where did the inspector come from?", "What was sounded?"] * 3
    alone = [engine.answer("mill", question) for question in questions]
    engine.shared.recall_cache.clear()
    pieces: list[list[str]] = [[] for _ in questions]

    def ask(number: int) -> object:
        with as_client(str(number % 5)):
            return engine.answer("mill", questions[number], on_text=pieces[number].append)

    with ThreadPoolExecutor(len(questions)) as pool:
        together = list(pool.map(ask, range(len(questions)), timeout=SECONDS))
    assert together == alone
    assert ["".join(said) for said in pieces] == [answer.text for answer in alone]
