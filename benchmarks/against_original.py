"""Ours against the original's modelling code on one machine: memorizing, decoding, and three instructions as a batch.

Run: python -m benchmarks.against_original --original CHECKOUT --python PYTHON [--shape S] [--tokens N] [--runs R]

CHECKOUT holds the original (github.com/qhjqhj00/MemoRAG), PYTHON is an interpreter with torch and transformers 4.44,
which it needs. Both load one checkpoint with random weights; runs take turns, medians are printed, and each bar with
whether it is met. Both must say the same greedy ids. Exit status 1 where a bar is missed or an id differs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.shapes import SHAPES, checkpoint, interleaved, seconds, tokens
from memorag_core.models.beacon.model import BeaconModel, BeaconState
from memorag_core.models.beacon.prefix import BeaconPrefix
from memorag_core.models.beacon.reading import read
from memorag_core.models.lm.decode_batch import DecodeRow
from memorag_core.models.lm.decoding import decode
from memorag_core.models.lm.scheduler import DecodeScheduler

QUERY_TOKENS = 40
ORIGINAL_STEPS = 6
OUR_STEPS = 33
PROMPTS = {"recalled text": 64, "recalled questions": 70, "rewrite": 58, "answer": 46}
PROMPT_STEPS = 48
BARS = {"memorizing": 1.9, "decoding": 4.0, "recall + rewrite + answer as a batch": 2.25}


class Original:
    """The original in a process of its own."""

    def __init__(self, python: str, checkout: Path, folder: Path, device: str) -> None:
        worker = Path(__file__).parent / "original" / "worker.py"
        self._process = subprocess.Popen(
            [python, str(worker)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.versions = self.ask(
            "load", checkout=str(checkout), checkpoint=str(folder), threads=torch.get_num_threads(), device=device
        )

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """Have it do something; what it found."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"do": do, **order}), file=self._process.stdin, flush=True)
        reply = self._process.stdout.readline()
        if not reply:
            raise SystemExit("The original's process ended; above is what it said.")
        found: dict[str, Any] = json.loads(reply)
        return found

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


class Comparison:
    """Both models over one context."""

    def __init__(self, ours: BeaconModel, original: Original, shape: str, context: int) -> None:
        self.ours, self.original, self.shape = ours, original, shape
        self.context = tokens(context, shape)
        self.query = tokens(QUERY_TOKENS, shape, seed=1)
        self.state: BeaconState = read(ours, self.context[:1])

    def memorizing(self, runs: int) -> list[float]:
        """Tokens a second, ours and theirs."""

        def ours() -> float:
            def work() -> None:
                self.state = read(self.ours, self.context)

            return len(self.context) / seconds(work)

        def theirs() -> float:
            return len(self.context) / float(self.original.ask("read", ids=self.context)["seconds"])

        return interleaved(runs, [ours, theirs])

    def decoding(self, runs: int) -> list[float]:
        """Tokens a second after the query, ours and theirs."""

        scheduler = DecodeScheduler(frozenset())

        def ours() -> float:
            heard: list[tuple[int, float]] = []
            scheduler.decode(
                [DecodeRow(self.query, OUR_STEPS)],
                BeaconPrefix(self.ours, self.state),
                lambda replies: heard.append((len(replies[0]), time.perf_counter())),
            )
            (first, begun), (last, ended) = heard[0], heard[-1]
            return (last - first) / (ended - begun)

        def theirs() -> float:
            found = self.original.ask("decode", query=self.query, new=ORIGINAL_STEPS)
            return (ORIGINAL_STEPS - 1) / float(found["seconds"])

        return interleaved(runs, [ours, theirs])

    def asking(self, runs: int) -> list[float]:
        """Seconds of four instructions, as a batch and one after the other; both ours."""
        prompts = [tokens(count, self.shape, seed) for seed, count in enumerate(PROMPTS.values(), start=2)]

        def reply(asked: Sequence[list[int]]) -> float:
            return seconds(lambda: decode(BeaconPrefix(self.ours, self.state), asked, PROMPT_STEPS))

        return interleaved(runs, [lambda: reply(prompts), lambda: sum(reply([prompt]) for prompt in prompts)])

    def same_ids(self) -> bool:
        """Whether both say the same."""
        [ours] = decode(BeaconPrefix(self.ours, self.state), [self.query], ORIGINAL_STEPS)
        theirs = self.original.ask("decode", query=self.query, new=ORIGINAL_STEPS)["ids"]
        return bool(ours == theirs)


def report(compared: Comparison, runs: int) -> bool:
    """Print the ratios; whether all bars are met."""
    print(f"{'':<40} {'ours':>10} {'other':>10} {'ratio':>7} {'bar':>6}")
    measured = (compared.memorizing, compared.decoding, compared.asking)
    met = True
    for (name, bar), measure, unit in zip(BARS.items(), measured, ("t/s", "t/s", "s"), strict=True):
        ours, other = measure(runs)
        ratio = other / ours if unit == "s" else ours / other
        met &= ratio >= bar
        print(f"{name + ', ' + unit:<40} {ours:10.2f} {other:10.2f} {ratio:6.2f}x {bar:5.1f}x", flush=True)
    same = compared.same_ids()
    print(f"greedy ids: {'the same' if same else 'OTHERS'}")
    return met and same


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--original", type=Path, required=True)
    parser.add_argument("--python", required=True)
    parser.add_argument("--shape", choices=SHAPES, default="smollm2-135m")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--window", type=int, default=1024)
    parser.add_argument("--ratio", type=int, default=4)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = checkpoint(Path(name), chosen.shape, chosen.window, chosen.ratio)
        ours = BeaconModel.load(folder, chosen.device)
        original = Original(chosen.python, chosen.original, folder, chosen.device)
        print(f"{chosen.shape}, window {chosen.window}, ratio {chosen.ratio}, {chosen.tokens} tokens, ", end="")
        print(f"{torch.get_num_threads()} threads, medians of {chosen.runs}; original: {original.versions}")
        try:
            met = report(Comparison(ours, original, chosen.shape, chosen.tokens), chosen.runs)
        finally:
            original.close()
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
