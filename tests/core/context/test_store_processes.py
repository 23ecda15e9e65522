"""One store, many writers: one at a time writes a text, none is lost, and a killed one costs nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest
from filelock import FileLock
from stores import only_folders, store
from test_store import fill, manifest_of, publish
from waits import SECONDS

from memorag_core.config import WORK
from memorag_core.context.store import ContextStore
from memorag_core.errors import ContextExists, Interrupted

__all__ = ["store"]

THREADS, TIMES = 6, 10
ROOT = Path(__file__).resolve().parents[3]
START = """
import sys
from pathlib import Path
from memorag_core.context.store import ContextStore
store = ContextStore(Path(sys.argv[1]))
"""
WRITE_UNTIL_KILLED = """
with store.writing("k1") as work:
    (work.draft / "half").write_text("half a context")
    print("writing", flush=True)
    sys.stdin.read()
"""
WAIT_FOR_THE_WRITER = """
print("waiting", flush=True)
with store.writing("k1"):
    print(store.find("k1"))
"""


def another_process(store: ContextStore, code: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", START + code, str(store.root)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline().strip()


@only_folders
def test_a_live_writer_is_let_be_and_a_killed_one_is_cleared(store: ContextStore) -> None:
    with another_process(store, WRITE_UNTIL_KILLED) as writer:
        assert line(writer.stdout) == "writing"
        draft = store.root / WORK / "k1" / "draft"
        store.sweep()
        assert (draft / "half").exists()
        assert store.ids() == []
        writer.kill()
        writer.wait(SECONDS)
        assert (draft / "half").exists(), "a killed process clears nothing itself"
        store.sweep()
        assert not draft.exists()
    assert publish(store) == "the-mill"


@only_folders
def test_a_killed_writer_does_not_stop_the_next_one(store: ContextStore) -> None:
    with another_process(store, WRITE_UNTIL_KILLED) as writer:
        assert line(writer.stdout) == "writing"
        writer.kill()
    with store.writing("k1") as work:
        assert list(work.draft.iterdir()) == []


@only_folders
def test_the_second_process_with_a_text_waits_for_the_first_and_then_finds_it(store: ContextStore) -> None:
    with store.writing("k1") as work:
        fill(work.draft)
        second = another_process(store, WAIT_FOR_THE_WRITER)
        assert line(second.stdout) == "waiting"
        store.publish(work, manifest_of("k1"), None)
    with second:
        assert line(second.stdout) == "['the-mill']"


def test_threads_that_write_the_same_and_other_texts_lose_nothing_and_write_nothing_twice(store: ContextStore) -> None:
    def work(key: str) -> None:
        with store.writing(key) as work:
            if not store.find(key):
                fill(work.draft)
                store.publish(work, manifest_of(key), None)

    threads = [threading.Thread(target=work, args=(f"k{number % 4}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert store.ids() == ["the-mill", "the-mill-2", "the-mill-3", "the-mill-4"]
    assert all(len(store.find(f"k{number}")) == 1 for number in range(4))


@only_folders
def test_a_second_copy_to_the_same_name_does_not_disturb_the_first(
    store: ContextStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, title="first")
    second_is_at_the_lock = threading.Event()
    refused: list[str] = []

    def copy_again() -> None:
        try:
            store.copy("first", "second", "k1")
        except ContextExists as error:
            refused.append(str(error))

    def telling_lock(path: Path) -> FileLock:
        second_is_at_the_lock.set()
        return FileLock(path)

    def replace_while_another_waits(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "replace", replace)
        monkeypatch.setattr("memorag_core.context.store.FileLock", telling_lock)
        second.start()
        assert second_is_at_the_lock.wait(SECONDS)
        replace(source, target)

    replace = os.replace
    second = threading.Thread(target=copy_again)
    monkeypatch.setattr(os, "replace", replace_while_another_waits)
    assert store.copy("first", "second", "k1") == "second"
    second.join(SECONDS)
    assert len(refused) == 1
    assert store.find("k1") == ["first", "second"]


def locks(store: ContextStore) -> set[str]:
    return {path.name for path in (store.root / WORK).glob("*.lock")} - {"store.lock"}


def test_the_lock_of_finished_work_is_removed_and_that_of_kept_work_stays(store: ContextStore) -> None:
    context_id = publish(store)
    with store.changing(context_id):
        assert locks(store) == {f"of={context_id}.lock"}
    assert locks(store) == set()
    with suppress(Interrupted), store.writing("k2") as work:
        (work.path / "journal").write_text("half of it", encoding="utf-8")
        raise Interrupted("later")
    assert locks(store) == {"k2.lock"}
    store.forget(context_id)
    assert locks(store) == {"k2.lock"}


@only_folders
@pytest.mark.parametrize("number", [20, pytest.param(10_000, marks=pytest.mark.slow)])
def test_locks_that_dead_processes_left_are_removed_once_for_all(store: ContextStore, number: int) -> None:
    publish(store)
    for key in range(number):
        (store.root / WORK / f"k{key}.lock").touch()
    with store.writing("k3"):
        store.sweep()
        assert locks(store) == {"k3.lock"}
    assert locks(store) == set()


def test_of_many_who_wait_for_a_lock_that_is_removed_each_time_one_at_a_time_has_it(store: ContextStore) -> None:
    inside, together = list[int](), list[int]()

    def work(number: int) -> None:
        for _ in range(TIMES):
            with store.writing("k1"):
                inside.append(number)
                together.append(len(inside))
                inside.remove(number)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS), timeout=SECONDS))
    assert together == [1] * THREADS * TIMES
    assert locks(store) == set()
