"""Questions of one client, of many, and of a modest client beside a greedy one; two trees in the same run.

    python -m benchmarks.clients --tree now=. --tree before=../base --document contexts/samples/harrow-sound.md \
        --questions contexts/samples/harrow-sound.questions.jsonl

Each tree is a process of its own with a store of its own, in which the document is memorized first. Then the trees take
turns, measure by measure; while one works, the others wait. Printed are medians and their ratios to the last tree.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from typing import Any

MODEST_CALLS = 3
MEASURES = ("one client, s an answer", "many clients, answers/s", "many clients, same question, answers/s")
FAIR = ("modest client beside a greedy one, worst s",)


class Tree:
    """A process that asks the engine of one tree."""

    def __init__(self, name: str, folder: Path, chosen: argparse.Namespace) -> None:
        """Start it, and wait until the document is memorized."""
        self.name = name
        command = [sys.executable, "-P", str(Path(__file__).resolve()), "--worker", "--threads", str(chosen.threads)]
        command += ["--document", str(chosen.document.resolve()), "--questions", str(chosen.questions.resolve())]
        command += ["--generator", chosen.generator] if chosen.generator else []
        command += ["--store", str(chosen.store.resolve() / name), "--clients", str(chosen.clients)]
        environment = {**os.environ, "PYTHONPATH": str(folder.resolve())}
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.measure("ready")

    def measure(self, what: str) -> float:
        """Have it measure once."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"The process of {self.name} ended.")
        return float(line)


class Worker:
    """Measures in this process, over whichever tree it imports."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        """Memorize the document, if the store has it not."""
        import torch

        from memorag_core import MemoRAG, Settings, from_text

        torch.set_num_threads(chosen.threads)
        others = {"generator": chosen.generator} if chosen.generator else {}
        settings = Settings.of(profile="tiny", memory="none", store=chosen.store, device="cpu", patience=3600, **others)
        self.engine = MemoRAG(settings)  # clues come from attention: answers are those with a memory
        text = chosen.document.read_text(encoding="utf-8")
        self.id = self.engine.memorize([from_text(text, title="Text")]).id
        lines = chosen.questions.read_text(encoding="utf-8").splitlines()
        self.questions: list[str] = [json.loads(line)["question"] for line in lines]
        self.engine.answer(self.id, self.questions[0])
        self.clients = chosen.clients
        self._next = 0

    def one(self) -> float:
        """The seconds of an answer to one client."""
        return self._ask(self._question())

    def many(self) -> float:
        """Answers a second to many clients with a question each."""
        return self._together([self._question() for _ in range(self.clients)])

    def same(self) -> float:
        """Answers a second to many clients with the same question."""
        return self._together([self._question()] * self.clients)

    def modest(self) -> float:
        """The worst seconds of an answer to a client that asks one by one, beside one with many calls in flight."""
        asking = threading.Event()
        asking.set()

        def insist() -> None:
            while asking.is_set():
                self._ask(self._question(), "greedy")

        with ThreadPoolExecutor(self.clients) as pool:
            calls = [pool.submit(insist) for _ in range(self.clients)]
            worst = max(self._ask(self._question(), "modest") for _ in range(MODEST_CALLS))
            asking.clear()
            for call in calls:
                call.result()
        return worst

    def _together(self, questions: list[str]) -> float:
        started = time.perf_counter()
        with ThreadPoolExecutor(len(questions)) as pool:
            list(pool.map(self._ask, questions, map(str, range(len(questions)))))
        return len(questions) / (time.perf_counter() - started)

    def _ask(self, question: str, client: str = "") -> float:
        started = time.perf_counter()
        with _as_client(client):
            self.engine.answer(self.id, question)
        return time.perf_counter() - started

    def _question(self) -> str:
        self._next += 1
        return self.questions[self._next % len(self.questions)]


def _as_client(client: str) -> AbstractContextManager[None]:
    """Count calls as a client's, by the name that this tree has for it."""
    try:
        from memorag_core.concurrency.device_queue import as_client
    except ImportError:  # trees before 0.2 had it elsewhere
        from memorag_core.turns import working_for as as_client  # type: ignore[import-not-found,no-redef]
    return as_client(client)


def work(chosen: argparse.Namespace) -> None:
    """Measure what each line of standard input asks for."""
    worker = Worker(chosen)
    ways: dict[str, Callable[[], float]] = {
        "ready": lambda: 0.0,
        **dict(zip((*MEASURES, *FAIR), (worker.one, worker.many, worker.same, worker.modest), strict=True)),
    }
    for line in sys.stdin:
        sys.stdout.write(f"{ways[line.strip()]()}\n")
        sys.stdout.flush()


def report(trees: list[Tree], rounds: int, what: str) -> Iterator[str]:
    """Measure in turns; yield a line for each tree."""
    found: dict[str, list[float]] = {tree.name: [] for tree in trees}
    for _ in range(rounds):
        for tree in trees:
            found[tree.name].append(tree.measure(what))
    base = median(found[trees[-1].name])
    for name, values in found.items():
        middle = median(values)
        yield f"{what:45} {name:8} {middle:8.3f} ({min(values):.3f} to {max(values):.3f})  x{middle / base:.2f}"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clients", description=__doc__)
    parser.add_argument("--tree", action="append", default=[], help="NAME=FOLDER; the last is compared with")
    parser.add_argument("--document", type=Path, required=True)
    parser.add_argument("--questions", type=Path, required=True, help="lines of JSON with a 'question'")
    parser.add_argument("--store", type=Path, default=Path("contexts-of-clients"), help="kept, for the next run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--generator", help="a folder; tiny's own model by its folder's name writes its answers")
    parser.add_argument("--measure", choices=(*MEASURES, *FAIR), action="append", help="only these")
    parser.add_argument("--clients", type=int, default=16, help="as many ask at once, and the greedy one as often")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    chosen: Any = parser.parse_args()
    if chosen.worker:
        work(chosen)
        return
    trees = [Tree(*_split(tree), chosen) for tree in chosen.tree]
    for what in chosen.measure or (*MEASURES, *FAIR):
        for line in report(trees, chosen.rounds, what):
            print(line, flush=True)


def _split(tree: str) -> tuple[str, Path]:
    name, _, folder = tree.partition("=")
    return name, Path(folder)


if __name__ == "__main__":
    main()
