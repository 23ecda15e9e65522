"""How many planted numbers long memory says when asked, by ratio, method and depth.

Run: python -m benchmarks.needles MODEL FILE… [--tokens N] [--rounds N] [--ratios 1 4 8] [--methods …] [--segment N]
e.g. python -m benchmarks.needles smollm2-135m-instruct ../shared/eval/loogle_shortdep_qa/doc*.txt --tokens 4096

Each round reads so many tokens of a FILE, another stretch every time, with a number at each depth, and asks for each.
MODEL is as in `benchmarks.memories`.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from pathlib import Path
from statistics import mean

from benchmarks.memories import language_model, memories
from memorag_core.memory import KeyValueMemory
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.training.measure import DEPTHS, PLACES, Needle, plant, say_of


def hay(lm: LanguageModel, path: Path, tokens: int, draw: random.Random) -> str:
    """A stretch of a text."""
    [ids] = lm.encode([path.read_text(encoding="utf-8")])
    start = draw.randrange(max(1, len(ids) - tokens))
    return str(lm.tokenizer.decode(ids[start : start + tokens]))


def find(model: KeyValueMemory, text: str, draw: random.Random) -> set[float]:
    """The depths whose number is said."""
    places = draw.sample(PLACES, len(DEPTHS))
    needles = [
        Needle(depth, place, str(draw.randrange(10_000, 100_000))) for depth, place in zip(DEPTHS, places, strict=True)
    ]
    return {needle.depth for needle in say_of(model, plant(text, needles), needles)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--ratios", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--methods", nargs="+", default=["expected_attention", "kvzip"])
    parser.add_argument("--segment", type=int, default=1024)
    chosen = parser.parse_args()
    chosen.memory = ["long"]
    lm = language_model(chosen.model)
    found: dict[str, Counter[float]] = {}
    for number in range(chosen.rounds):
        text = hay(lm, chosen.files[number % len(chosen.files)], chosen.tokens, random.Random(number))
        for name, model in memories(lm, chosen):
            said = find(model, text, random.Random(number))
            found.setdefault(name, Counter()).update(said)
            print(f"{number} {name:<28} {len(said)} of {len(DEPTHS)}", flush=True)
    print(f"\n{lm.model_id}, {chosen.tokens} tokens, {chosen.rounds} a depth, segment {chosen.segment}")
    print(f"{'memory':<28} {'all':>6} " + " ".join(f"{depth:>6}" for depth in DEPTHS))
    for name, counts in found.items():
        shares = [counts[depth] / chosen.rounds for depth in DEPTHS]
        print(f"{name:<28} {mean(shares):>6.2f} " + " ".join(f"{share:>6.2f}" for share in shares))


if __name__ == "__main__":
    main()
