"""Recall by attention against recall by generation, on one context: seconds a question, and whether clues are verbatim.

Run: python -m benchmarks.recall [FILE] [--questions FILE.jsonl] [--limit N] [engine options as environment variables]

Without arguments: the sample of this repository and its questions, with the embedded models. The context is memorized
into the store of the settings if it is not there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from memorag_core import MemoRAG, Settings, from_path
from memorag_core.query.clues import clean_recall
from memorag_core.query.recall import recall_by_attention
from memorag_core.types import Clue

SAMPLES = Path(__file__).resolve().parents[1] / "contexts" / "samples"


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that it takes, and what it gives."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", default=SAMPLES / "harrow-sound.md")
    parser.add_argument("--questions", type=Path, default=SAMPLES / "harrow-sound.questions.jsonl")
    parser.add_argument("--limit", type=int, default=8)
    asked = parser.parse_args()
    engine = MemoRAG(Settings.of(profile="tiny"), lambda text: print(text, file=sys.stderr))
    context = engine.context(engine.memorize(from_path(asked.file, engine.settings.max_characters)).id)
    memory = engine.shared.components.memory
    questions = [json.loads(line)["question"] for line in asked.questions.read_text(encoding="utf-8").splitlines()]
    recall_by_attention(context, questions[0])
    attended: list[float] = []
    generated: list[float] = []
    clues: list[Clue] = []
    snapped: list[Clue] = []
    for question in questions[: asked.limit]:
        seconds, found = timed(partial(recall_by_attention, context, question))
        attended.append(seconds)
        clues += found.clues
        seconds, (spans, follow_up) = timed(partial(memory.recall, context.memory, question))
        generated.append(seconds)
        snapped += clean_recall({"span": spans, "question": follow_up}, question, context.texts)
    verbatim = sum(context.texts.at(clue.place) == clue.text for clue in clues if clue.place)
    print(f"{len(attended)} questions over {sum(len(chunk.text) for chunk in context.chunks):,} characters")
    print(f"attended:  {median(attended):.3f} s a question; {len(clues)} clues, {verbatim} verbatim")
    stand = sum(clue.place is not None for clue in snapped)
    print(f"generated: {median(generated):.3f} s a question; {len(snapped)} clues, {stand} stand in the text")
    print(f"ratio of time: 1/{median(generated) / median(attended):.1f}")


if __name__ == "__main__":
    main()
