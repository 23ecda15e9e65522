"""How much is done twice when memorizing is killed again and again, and whether the context is what it is undisturbed.

Run: python -m benchmarks.resume FILE [KILLS [CHARACTERS]]

A process that memorizes FILE is killed (SIGKILL) at random moments, each time a new one goes on, and the last one ends.
Every process writes down what it makes: characters embedded, characters whose keys are read, and so on.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.concurrency.journal import Form, Journal

SECONDS_TO_START = 8.0


def memorize(store: Path, text: Path, made: Path) -> None:
    """Memorize, and append to `made` a line for each batch that is made here: its kind, and its characters."""
    finish = Journal.finish

    def noted(journal: Journal, form: Form[Any], sources: Sequence[str], make: Callable[..., Any]) -> list[Any]:
        def make_and_note(missing: Sequence[str]) -> Sequence[Any]:
            results: Sequence[Any] = make(missing)
            with made.open("a", encoding="utf-8") as file:
                file.write(f"{form.name}\t{sum(map(len, missing))}\n")
            return results

        return finish(journal, form, sources, make_and_note)

    Journal.finish = noted  # type: ignore[assignment, method-assign]  # what is measured is what it makes
    engine = MemoRAG(Settings.of(profile="tiny", store=store))
    engine.memorize([from_text(text.read_text(encoding="utf-8"), "text")])


def start(*arguments: Path) -> subprocess.Popen[bytes]:
    """Begin a process of `memorize`."""
    command = [sys.executable, "-m", "benchmarks.resume", "--memorize", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def count_made(made: Path) -> Counter[str]:
    """The characters of each kind of work."""
    totals: Counter[str] = Counter()
    for line in made.read_text(encoding="utf-8").splitlines():
        kind, characters = line.rsplit("\t", 1)
        totals[kind] += int(characters)
    return totals


def contents(store: Path) -> dict[str, bytes]:
    """The files of the one context of a store, without its manifest, which tells times."""
    engine = MemoRAG(Settings.of(profile="tiny", store=store))
    [info] = engine.contexts()
    folder = engine.store.folder(info.id)
    return {name: (folder / name).read_bytes() for name in engine.store.manifest(info.id).files}


def main() -> None:
    file = Path(sys.argv[1])
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    most = int(sys.argv[3]) if len(sys.argv) > 3 else 300_000
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder) / "whole", Path(folder) / "cut"
        text = Path(folder) / "text"
        text.write_text(file.read_text(encoding="utf-8")[:most], encoding="utf-8")
        begun = time.monotonic()
        start(whole, text, whole.with_suffix(".made")).wait()
        seconds = time.monotonic() - begun - SECONDS_TO_START
        moments, died = random.Random(17), 0
        for _ in range(kills):
            process = start(cut, text, cut.with_suffix(".made"))
            try:
                process.wait(SECONDS_TO_START + moments.uniform(0, 2 * seconds / kills))
            except subprocess.TimeoutExpired:
                process.kill()
                died += process.wait() == -9
        start(cut, text, cut.with_suffix(".made")).wait()
        report(died, count_made(whole.with_suffix(".made")), count_made(cut.with_suffix(".made")))
        sys.stdout.write(f"equal bit for bit: {contents(whole) == contents(cut)}\n")


def report(died: int, once: Counter[str], made: Counter[str]) -> None:
    """Print what was made of what had to be made."""
    sys.stdout.write(f"killed {died} times\n")
    for kind, characters in once.items():
        sys.stdout.write(f"{kind:20} {characters:9,} characters, {made[kind] / characters - 1:.1%} done twice\n")


if __name__ == "__main__":
    if sys.argv[1] == "--memorize":
        memorize(*map(Path, sys.argv[2:5]))
    else:
        main()
