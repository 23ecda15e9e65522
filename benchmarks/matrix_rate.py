"""What part of the chip's matrix rate did a training run reach? `python -m benchmarks.matrix_rate RUN [--device cuda]`

The rate is measured by multiplying large square matrices (bfloat16 on CUDA, float32 elsewhere). A run's operations
are counted as 2 a weight and entry forward, 2 more backward through the frozen weights to their inputs, and 2 again
where it recomputes; an entry is a token or a beacon, at the mean of the plan's ratios. Attention is not counted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path
from statistics import median

import torch

from memorag_core.config import Settings
from memorag_core.models.lm.fp16_linear import unpack
from memorag_core.models.weights import Weights
from memorag_core.training.loop import losses

SIZE = {"cuda": 8192, "cpu": 1024}
SKIPPED = 3


def matrix_rate(device: str) -> float:
    """Operations a second, the best of five."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    size = SIZE[device]
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))

    def seconds() -> float:
        if device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(10):
            torch.mm(left, right)
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    seconds()
    return 10 * 2 * size**3 / min(seconds() for _ in range(5))


def main() -> None:
    """Print tokens a second, and the fraction."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.matrix_rate", description="The part of the matrix rate that a run reached."
    )
    parser.add_argument("run", type=Path, help="the --out of `memorag train`, with its checkpoint")
    parser.add_argument("--device", choices=SIZE, default="cuda" if torch.cuda.is_available() else "cpu")
    chosen = parser.parse_args()
    plan = json.loads((chosen.run / "checkpoint" / "training.json").read_text(encoding="utf-8"))["plan"]
    lm = Weights(Settings.of(device="cpu"), print).language_model(str(chosen.run / "checkpoint"))
    unpack(lm.model)  # packed weights are no parameters
    weights = sum(parameter.numel() for parameter in lm.model.parameters())
    steps = list(losses(chosen.run))
    pairs = list(itertools.pairwise(steps))[SKIPPED:]
    if not pairs:
        raise SystemExit(f"The first {SKIPPED + 1} steps say nothing of a run's speed, and {chosen.run} has no more.")
    speed = median((after.tokens - before.tokens) / (after.seconds - before.seconds) for before, after in pairs)
    entries = 1 + sum(1 / ratio for ratio in plan["ratios"]) / len(plan["ratios"])
    needed = speed * entries * weights * (6 if plan["recompute"] else 4)
    rate = matrix_rate(chosen.device)
    print(f"{speed:,.0f} tokens/s; {needed / 1e12:.3g} of {rate / 1e12:.3g} Tflop/s: {needed / rate:.0%}")


if __name__ == "__main__":
    main()
