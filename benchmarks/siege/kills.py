"""Kill a process at random moments of its work, and look each time what is left of it."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.siege.served import PATIENCE
from memorag_core import MemoRAG, Settings, from_text
from memorag_core.config import WORK
from memorag_core.context.work import BEFORE, EARLIER, JOURNAL, LOCK

TEXT = "The mill stands at the head of the pond. Amos kept the gate book. The horn was sounded on day {}. "
SHORT, LONG = 30, 400
SECONDS = 8.0
SHARE_AFTER_START = 0.9
STEPS = """
import sys
from pathlib import Path
from memorag_core import MemoRAG, Settings, from_path, from_text
store, text, page = sys.argv[1:]
engine = MemoRAG(Settings.of(profile="tiny", store=store))
print("begun", flush=True)
new = from_text(text, "new")
if "base" in [c.id for c in engine.contexts()]:
    engine.add("base", [new]); engine.remove("base", "new")
engine.memorize(from_path(Path(page), 10**6), "fresh"); engine.forget("fresh")
engine.memorize([from_text({long!r}, "long")], "long"); engine.complete("long")
print(engine.answer("long", "Who kept the gate book?").text); engine.forget("long")
"""
"""What a process does: add, remove, memorize a page that another process reads, forget, and resume what was killed."""


def kill(times: int, seed: int, folder: Path) -> dict[str, Any]:
    """Kill a process at random moments, start-up included, and look each time that all contexts are whole."""
    store, chance = folder / "store", random.Random(seed)
    engine = MemoRAG(Settings.of(profile="tiny", store=store))
    engine.memorize([from_text(TEXT.format(1) * SHORT, "old")], "base")
    lengths: list[float] = []
    for number in range(times):
        page = folder / "new.html"
        page.write_text(f"<p>{TEXT.format(-number) * SHORT}</p>", encoding="utf-8")
        began = time.monotonic()
        _run_and_kill([str(store), TEXT.format(number + 2) * SHORT, str(page)], chance)
        lengths.append(time.monotonic() - began)
        _check_store(store)
    _run([str(store), TEXT.format(0) * SHORT, str(page)]).wait(PATIENCE)
    _check_store(store)
    return {"kills": times, "mean_seconds": round(sum(lengths) / times, 2), "kept": _kept(store)}


def _run(arguments: list[str]) -> subprocess.Popen[bytes]:
    code = STEPS.format(long=TEXT.format("of the flood") * LONG)
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE)


def _run_and_kill(arguments: list[str], chance: random.Random) -> None:
    worker = _run(arguments)
    if chance.random() < SHARE_AFTER_START and worker.stdout:
        worker.stdout.readline()
    try:
        worker.wait(chance.uniform(0, SECONDS))
        assert worker.returncode == 0, worker.returncode
    except subprocess.TimeoutExpired:
        children = psutil.Process(worker.pid).children(recursive=True)
        worker.kill()
        worker.wait(PATIENCE)
        _, alive = psutil.wait_procs(children, SECONDS)
        assert not alive, alive


def _check_store(store: Path) -> None:
    engine = MemoRAG(Settings.of(profile="tiny", store=store))
    engine.store.sweep()
    survey = engine.survey()
    assert not survey.damaged, survey.damaged
    whole: dict[str, set[tuple[str, ...]]]
    whole = {"base": {("old",), ("old", "new")}, "fresh": {("new",)}, "long": {("long",)}}
    for info in survey.contexts:
        ids = tuple(document.id for document in info.documents)
        assert ids in whole[info.id], (info.id, ids)
        for document in engine.documents(info.id):
            assert document.text.startswith("The mill stands"), info.id
    ids_left = {info.id for info in survey.contexts}
    assert "base" in ids_left
    if "fresh" in ids_left:
        engine.forget("fresh")
    folders = {path.name: {inner.name for inner in path.iterdir()} for path in _work(store) if path.is_dir()}
    assert all(inner and inner <= {JOURNAL, BEFORE, EARLIER} for inner in folders.values()), folders
    locks = {path.stem for path in _work(store) if path.suffix == LOCK} - {"store"}
    assert locks <= set(folders), (locks, folders)


def _work(store: Path) -> list[Path]:
    """What is in the folder of unfinished work, but for the records of jobs."""
    return [path for path in (store / WORK).iterdir() if path.name != "jobs"]


def _kept(store: Path) -> int:
    """How many pieces of unfinished work can still be resumed."""
    return sum(path.is_dir() for path in _work(store))
