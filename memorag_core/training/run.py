"""Training from a model's name to a checkpoint: what `memorag train` runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.config import Settings
from memorag_core.errors import InputError
from memorag_core.models.beacon.model import BeaconModel
from memorag_core.models.profiles import choose_profile
from memorag_core.models.weights import Weights
from memorag_core.training.checkpoint import begin, write
from memorag_core.training.loop import OnStepDone, Training, accelerator_for, losses
from memorag_core.training.measure import MeasureSizes, Measuring
from memorag_core.training.plan import TrainingPlan
from memorag_core.training.texts import record_rows, text_rows, texts_at
from memorag_core.training.windows import BeaconLoss
from memorag_core.types import Say

TrainingTask = Literal["pretrain", "finetune"]
CHECKPOINT = "checkpoint"
LAST = 50


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What to train on (`paths`, for a task), where the run is kept, and whether to write the beacons alone."""

    task: TrainingTask
    paths: tuple[Path, ...]
    out: Path
    beacons_only: bool = False


def train(settings: Settings, job: TrainingJob, plan: TrainingPlan, say: Say, on_step: OnStepDone) -> Path:
    """Train the settings' memory model, from where a stopped run of the same plan ended.

    Returns:
        The folder of the checkpoint, written by the main process.

    Raises:
        InputError: texts or a plan that cannot be used, or a folder that holds another run.
        ModelUnavailable: the weights cannot be had.
    """
    name = choose_profile(settings).memory_model
    accelerator = accelerator_for(settings.device)
    device = str(accelerator.device)
    weights = Weights(settings.model_copy(update={"device": device}), say)
    with accelerator.main_process_first():
        lm = weights.language_model(name)
        raise_if_cancelled()
        limits = plan.window, plan.windows
        if job.task == "pretrain":
            rows = text_rows(lm, texts_at(job.paths, settings.max_characters), *limits, job.out)
        else:
            rows = record_rows(lm, job.paths, *limits, say)
    compiled = accelerator.device.type == "cuda"
    module = BeaconLoss(begin(lm, weights.source(name), plan), plan.recompute, compiled)
    training = Training(accelerator, module, rows, plan, job.out)
    say(f"{len(rows)} rows, {training.about['tokens']:,} tokens; step {training.done.step} of {plan.steps} is done")
    training.run(on_step)
    folder = job.out / CHECKPOINT
    if accelerator.is_main_process:
        base = getattr(lm.model.config, "beacon_base", None) or name
        notes = _notes(job, training, name)
        write(folder, lm, module.weights(), notes, base if job.beacons_only else None)
    accelerator.wait_for_everyone()
    return folder


def prepare_measuring(settings: Settings, paths: Sequence[Path], sizes: MeasureSizes, say: Say) -> Measuring:
    """The settings' memory model beside the tokens of held-out text.

    Raises:
        InputError: the text is shorter than one sample.
        ModelUnavailable: the model has no beacons, or cannot be had.
    """
    name = choose_profile(settings).memory_model
    weights = Weights(settings, say)
    lm = weights.language_model(name)
    beacons = BeaconModel.beside(lm.model, weights.source(name))
    texts = texts_at(paths, settings.max_characters)
    tokens = [token for ids in lm.encode(list(texts)) for token in [*ids, lm.tokenizer.eos_token_id]]
    if len(tokens) < (needed := (sizes.windows + 1) * beacons.layout.window):
        raise InputError(f"The held-out text has {len(tokens)} tokens; one sample takes {needed}. Give more text.")
    return Measuring(lm, beacons, tokens, sizes)


def _notes(job: TrainingJob, training: Training, name: str) -> dict[str, object]:
    found = [step.loss for step in losses(job.out)]
    return {
        "task": job.task,
        "from": name,
        "data": [str(path) for path in job.paths],
        "plan": training.about,
        "tokens_read": training.done.tokens,
        "seconds": round(training.done.seconds),
        "loss_first": _mean(found[:LAST]),
        "loss_last": _mean(found[-LAST:]),
        "done": asdict(training.done),
    }


def _mean(numbers: Sequence[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None
