"""A folder of many small files against one file with all their text: seconds until it can be asked, and in all.

Run: python -m benchmarks.folder [FILES] [RUNS] [ENGINE OPTIONS]

Runs take turns, with the models loaded; medians of the wall clock and of the CPU seconds of this process are told.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.ready import Stopwatch
from benchmarks.sync import WORDS
from memorag_core import MemoRAG, Settings, from_path
from memorag_core.types import ContextInfo

CHARACTERS = 2000
LIMIT = 1 << 24


def write(number: int) -> str:
    """Sentences of some words in an order of their own."""
    dice, text = random.Random(number), f"# Note {number}\n\n"
    while len(text) < CHARACTERS:
        text += f"{' '.join(dice.choices(WORDS.split(), k=9)).capitalize()}.\n\n"[: 1 + dice.randrange(80, 90)]
    return text


def memorize(engine: MemoRAG, path: Path) -> tuple[float, float, float]:
    """Wall seconds until it can be asked, and all wall and CPU seconds."""
    ready: list[float] = []
    watch = Stopwatch()

    def tell(_: ContextInfo) -> None:
        ready.append(watch.read()[0])

    info = engine.memorize(from_path(path, LIMIT), on_ready=tell)
    wall, cpu = watch.read()
    engine.forget(info.id)
    return ready[0], wall, cpu


def main() -> None:
    """Measure in turn and print."""
    numbers = [int(argument) for argument in sys.argv[1:3] if argument.isdigit()]
    files, runs = (*numbers, *(1000, 3)[len(numbers) :])
    given = dict(option.removeprefix("--").split("=", 1) for option in sys.argv[1 + len(numbers) :])
    with tempfile.TemporaryDirectory() as place:
        folder, whole = Path(place, "notes"), Path(place, "whole.md")
        folder.mkdir()
        texts = [write(number) for number in range(files)]
        for number, text in enumerate(texts):
            (folder / f"note-{number}.md").write_text(text, encoding="utf-8")
        whole.write_text("\n".join(texts), encoding="utf-8")
        engine = MemoRAG(Settings.of(**{"profile": "tiny", "store": Path(place, "store")} | given))
        memorize(engine, folder / "note-0.md")
        found = [(memorize(engine, folder), memorize(engine, whole)) for _ in range(runs)]
    for name, which in (("folder", 0), ("one file", 1)):
        ready, wall, cpu = (median(column) for column in zip(*(pair[which] for pair in found), strict=True))
        print(f"{name:9} can be asked after {ready:7.2f} s, done after {wall:7.2f} s, {cpu:7.2f} s of CPU")
    ratios = [median(pair[0][at] / pair[1][at] for pair in found) for at in range(3)]
    print("folder as a multiple of the file: " + ", ".join(f"{ratio:.2f}" for ratio in ratios))


if __name__ == "__main__":
    main()
