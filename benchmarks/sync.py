"""How long it takes to bring a context in step with its folder: with nothing changed, and with one file changed.

Run: python -m benchmarks.sync [FILES] [RUNS] [ENGINE OPTIONS]

Medians of the wall seconds of the command `memorag sync` from its start until the context can be asked again, which is
told, and to its end, when what the memory model makes is there too. Models are loaded where they are needed. The files
are of 12 words; without options there is no memory, but attention keys.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

READY = "can be asked"
WORDS = "mill pond gate book horn ferry quay pilot lamp tide rope chain wind mole sluice weir barge crane ledger bell"


def write(folder: Path, number: int, turn: int = 0) -> None:
    """Write a file that no other is like."""
    dice = random.Random(f"{number} {turn}")
    text = " ".join(dice.choices(WORDS.split(), k=12))
    (folder / f"note-{number}.md").write_text(f"# Note {number}\n\nEntry {turn}. {text}.\n", encoding="utf-8")


def command(*arguments: str) -> tuple[float, float]:
    """The seconds until it was told that the context can be asked, and to the end."""
    started = time.perf_counter()
    line = [sys.executable, "-m", "memorag_mcp.cli", *arguments]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr
        told = [time.perf_counter() - started for said in run.stderr if READY in said]
    if run.returncode:
        raise SystemExit(f"{line} failed")
    ended = time.perf_counter() - started
    return (*told, ended)[0], ended


def measure(runs: int, before: Callable[[int], None], line: Sequence[str]) -> str:
    """The medians of the seconds of a command, after something that is not counted."""
    seconds = []
    for turn in range(1, runs + 1):
        before(turn)
        seconds.append(command(*line))
    asked, ended = (statistics.median(column) for column in zip(*seconds, strict=True))
    return f"can be asked after {asked:.2f} s, ended after {ended:.2f} s"


def main() -> None:
    numbers = [int(argument) for argument in sys.argv[1:3] if argument.isdigit()]
    files, runs = (*numbers, *(2000, 3)[len(numbers) :])
    options = sys.argv[1 + len(numbers) :] or ["--memory", "none"]
    with tempfile.TemporaryDirectory() as place:
        folder, store = Path(place, "notes"), Path(place, "store")
        folder.mkdir()
        for number in range(files):
            write(folder, number)
        started = time.perf_counter()
        command("memorize", str(folder), "--name", "notes", "--store", str(store), *options)
        print(f"{files:,} files memorized in {time.perf_counter() - started:.1f} s", flush=True)
        command(
            "sync", "notes", "--store", str(store), *options
        )  # what was written in the last two seconds has no stamp
        report(runs, lambda turn: write(folder, 7, turn), ["sync", "notes", "--store", str(store), *options])


def report(runs: int, change: Callable[[int], None], line: Sequence[str]) -> None:
    """Print medians, of commands first."""
    print(f"memorag sync, nothing changed: {measure(runs, lambda _: None, line)}", flush=True)
    print(f"memorag sync, one file changed: {measure(runs, change, line)}", flush=True)


if __name__ == "__main__":
    main()
