"""Tokens a second of training beacons, beside a plain forward and backward pass of the same model."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.cuda.report import Report
from benchmarks.shapes import checkpoint, plain, seconds, tokens
from memorag_core.models.beacon.model import BeaconModel
from memorag_core.models.lm.fp16_linear import unpack
from memorag_core.training.loop import Step, Training, accelerator_for
from memorag_core.training.plan import TrainingPlan
from memorag_core.training.rows import Row
from memorag_core.training.windows import BeaconLoss

BAR = 252_000.0
"""Three times what was reached on an H200 before."""
WARM, COUNTED = 6, 12
"""Steps that compile and that are counted; each ratio is met in the first."""


def measure(report: Report, device: str) -> None:
    """SmolLM2's shape on a card; on a CPU, a tiny one, to see that it runs."""
    on_card = device.startswith("cuda")
    shape, window, rows = ("smollm2-135m", 1024, 32) if on_card else ("tiny", 128, 2)
    steps = (WARM, COUNTED) if on_card else (1, 2)
    names = ("eager", "compiled") if on_card else ("eager",)
    floors = {name: _plain(shape, window, rows, device, name == "compiled") for name in names}
    for name, speed in floors.items():
        report.show(f"plain forward and backward, {name}", speed, "tokens/s")
    speed = _train(shape, window, rows, device, steps)
    floor = (floors[names[-1]], f"plain, {names[-1]}")
    report.show(f"training {shape}'s beacons", speed, "tokens/s", floor, BAR if on_card else None)


def _train(shape: str, window: int, rows: int, device: str, steps: tuple[int, int]) -> float:
    """Tokens a second of the loop that `memorag train` runs."""
    done: list[Step] = []
    with tempfile.TemporaryDirectory() as name:
        folder = checkpoint(Path(name), shape, window, 4)
        accelerator = accelerator_for(device)
        beacons = BeaconModel.load(folder, str(accelerator.device))
        unpack(beacons.model)
        beacons = BeaconModel.beside(beacons.model, folder)
        module = BeaconLoss(beacons, compiled=accelerator.device.type == "cuda")
        whole = [Row(np.array(tokens(2 * window, shape, seed), dtype=np.uint32), window) for seed in range(4 * rows)]
        plan = TrainingPlan(steps=sum(steps), batch=rows, at_once=rows, windows=2, window=window, save_every=10_000)
        Training(accelerator, module, whole, plan, Path(name) / "run").run(done.append)
    first, last = done[steps[0] - 1], done[-1]
    return (last.tokens - first.tokens) / (last.seconds - first.seconds)


def _plain(shape: str, window: int, rows: int, device: str, compiled: bool) -> float:
    """Tokens a second of the model alone, which learns to say what follows: as many rows of as many tokens."""
    model = plain(shape, window, 4, device).requires_grad_(True)
    called: Callable[..., Any] = torch.compile(model) if compiled else model
    ids = torch.tensor([tokens(window, shape, seed) for seed in range(rows)], device=device)

    def step() -> None:
        logits = called(input_ids=ids, use_cache=False).logits[:, :-1].flatten(0, 1)
        torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:].flatten()).backward()
        model.zero_grad()

    step()
    step()
    return ids.numel() / statistics.median(seconds(step) for _ in range(5))
