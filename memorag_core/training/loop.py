"""The training loop: Accelerate's processes, devices and saved state around the loss of `windows`."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from transformers import get_cosine_schedule_with_warmup

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.context.atomic_files import recover, replace_folder
from memorag_core.errors import InputError
from memorag_core.training.plan import TrainingPlan
from memorag_core.training.rows import Batches, Row
from memorag_core.training.windows import UNCOUNTED, BeaconLoss

LOSSES = "losses.jsonl"
STATE = "state"
POSITION = "position.json"
STEEPEST = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """A step that is done, the `step`th. `loss` is in nats a counted token, `tokens` and `seconds` are the run's."""

    step: int
    loss: float
    rate: float
    tokens: int
    seconds: float


OnStepDone = Callable[[Step], None]


def accelerator_for(device: str) -> Accelerator:
    """The processes and the device that `accelerate launch` gives, or this one; bfloat16 on CUDA.

    Raises:
        InputError: CUDA is asked for, and there is none.
    """
    on_cpu = device == "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError("There is no CUDA device here, or no torch that can use it. Train with --device auto or cpu.")
    mixed = "bf16" if torch.cuda.is_available() and not on_cpu else "no"
    return Accelerator(cpu=on_cpu, mixed_precision=mixed)


class Training:
    """A run in a folder: `losses.jsonl`, a line a step, and `state/`, from which a stopped run goes on.

    The batch and the ratios of a step depend on the plan's seed and the step's number alone, so that a run that went
    on, or that has other processes, has the same losses.
    """

    def __init__(
        self, accelerator: Accelerator, module: BeaconLoss, rows: Sequence[Row], plan: TrainingPlan, out: Path
    ) -> None:
        """Prepare the run, and load what a stopped one left in `out`.

        Raises:
            InputError: fewer rows than a batch, a batch that the processes cannot share, or a run of another plan.
        """
        if plan.batch % accelerator.num_processes:
            raise InputError(
                f"{accelerator.num_processes} processes cannot share {plan.batch} rows a step. Set --batch."
            )
        self.accelerator, self.plan, self.out, self.module = accelerator, plan, out, module
        self.batches = Batches(rows, plan.batch, module.beacons.layout.window, plan.seed)
        fused = accelerator.device.type == "cuda"
        optimizer = torch.optim.AdamW(module.parameters(), lr=plan.rate, weight_decay=0.0, fused=fused or None)
        self.schedule = get_cosine_schedule_with_warmup(optimizer, round(plan.warmup * plan.steps), plan.steps)
        self.wrapped, self.optimizer = accelerator.prepare(module, optimizer)
        accelerator.register_for_checkpointing(self.schedule)
        self.about = asdict(plan) | {"rows": len(rows), "tokens": sum(len(row.tokens) for row in rows)}
        self.done = self._resume()

    def run(self, on_step: OnStepDone) -> None:
        """Train to the last step; `on_step` hears of each, and may raise to stop. The state is saved as planned."""
        while self.done.step < self.plan.steps:
            raise_if_cancelled()
            started = time.perf_counter()
            loss, tokens = self._step(self.done.step)
            seconds = self.done.seconds + time.perf_counter() - started
            rate = self.schedule.get_last_lr()[0]
            self.schedule.step()
            self.done = Step(self.done.step + 1, loss, rate, self.done.tokens + tokens, seconds)
            if self.accelerator.is_main_process:
                with (self.out / LOSSES).open("a", encoding="utf-8", newline="\n") as file:
                    file.write(json.dumps(asdict(self.done)) + "\n")
            if self.done.step % self.plan.save_every == 0 or self.done.step == self.plan.steps:
                self._save()
            on_step(self.done)

    def _step(self, step: int) -> tuple[float, int]:
        """One step of the optimizer: the loss a counted token, and the tokens read, over all processes."""
        here, processes = self.accelerator.process_index, self.accelerator.num_processes
        batch = self.batches.at(step)
        counted = sum(len(row.tokens) - row.counted for row in batch)
        mine = list(range(here, len(batch), processes))
        passes = [mine[first : first + self.plan.at_once] for first in range(0, len(mine), self.plan.at_once)]
        total = torch.zeros((), device=self.accelerator.device)
        for number, rows in enumerate(passes):
            last = number == len(passes) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.wrapped):
                loss = self._loss([batch[row] for row in rows], f"{self.plan.seed} {step} {rows[0]}") / counted
                self.accelerator.backward(loss * processes)  # gradients are averaged over the processes
                total += loss.detach()
        self.accelerator.clip_grad_norm_(self.wrapped.parameters(), STEEPEST)
        self.optimizer.step()
        self.optimizer.zero_grad()
        summed: Any = self.accelerator.reduce(total, "sum")
        return float(summed), sum(len(row.tokens) for row in batch)

    def _loss(self, rows: Sequence[Row], seed: str) -> torch.Tensor:
        """The summed loss of rows that pass together, each window with a ratio drawn for it."""
        width = max(len(row.tokens) for row in rows)
        ids = torch.zeros(len(rows), width + 1, dtype=torch.long)
        counts = torch.zeros(len(rows), width + 1, dtype=torch.bool)
        for at, row in enumerate(rows):
            ids[at, : len(row.tokens)] = torch.from_numpy(row.tokens.astype("int64"))
            counts[at, row.counted : len(row.tokens)] = True
        targets = ids[:, 1:].masked_fill(~counts[:, 1:], UNCOUNTED)
        windows = -(-width // self.module.beacons.layout.window)
        ratios = random.Random(seed).choices(self.plan.ratios, k=windows)  # noqa: S311  # no secret
        loss: torch.Tensor = self.wrapped(ids[:, :width], targets, ratios)
        return loss

    def _save(self) -> None:
        """Put the state in the place of the last one, whole or not at all."""
        place, draft, aside = (self.out / name for name in (STATE, f".{STATE}-new", f".{STATE}-old"))
        if self.accelerator.is_main_process:
            shutil.rmtree(draft, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(draft))
        if self.accelerator.is_main_process:
            (draft / POSITION).write_text(json.dumps({"plan": self.about, "done": asdict(self.done)}), encoding="utf-8")
        self.accelerator.wait_for_everyone()
        if not self.accelerator.is_main_process:
            return
        if place.exists():
            replace_folder(place, draft, aside)
        else:
            os.replace(draft, place)

    def _resume(self) -> Step:
        """Where the run stands; the losses written after the saved state are dropped, as they come again."""
        place, aside = self.out / STATE, self.out / f".{STATE}-old"
        if self.accelerator.is_main_process:
            self.out.mkdir(parents=True, exist_ok=True)
            if aside.exists():
                recover(aside, place)
        self.accelerator.wait_for_everyone()
        done = Step(0, 0.0, 0.0, 0, 0.0)
        if place.exists():
            kept = json.loads((place / POSITION).read_text(encoding="utf-8"))
            self._check(kept["plan"])
            self.accelerator.load_state(str(place))
            done = Step(**kept["done"])
        if self.accelerator.is_main_process:
            lines = [json.dumps(asdict(step)) + "\n" for step in losses(self.out) if step.step <= done.step]
            (self.out / LOSSES).write_text("".join(lines), encoding="utf-8", newline="\n")
        return done

    def _check(self, kept: dict[str, Any]) -> None:
        mine = json.loads(json.dumps(self.about))
        differing = [f"{name} {kept.get(name)}, now {value}" for name, value in mine.items() if kept.get(name) != value]
        if differing:
            raise InputError(
                f"{self.out} holds a run that was started otherwise ({'; '.join(differing)}). Give its options, or "
                "another --out."
            )


def losses(out: Path) -> Iterator[Step]:
    """The steps of a run's `losses.jsonl`; a line that was cut off counts for nothing."""
    place = out / LOSSES
    for line in place.read_text(encoding="utf-8").splitlines() if place.exists() else ():
        try:
            yield Step(**json.loads(line))
        except (ValueError, TypeError):
            continue
