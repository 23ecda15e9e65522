"""Beacon models to train: begun from ordinary weights, and written in the published layout."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel

from memorag_core.context.atomic_files import replace_folder
from memorag_core.errors import InputError
from memorag_core.models.beacon.layout import BeaconLayout
from memorag_core.models.beacon.model import EMBEDDING, UNDERSTOOD, WEIGHTS, BeaconModel
from memorag_core.models.lm.fp16_linear import unpack
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.training.plan import TrainingPlan

NOTES = "training.json"


def begin(lm: LanguageModel, source: str | Path, plan: TrainingPlan) -> BeaconModel:
    """The beacon model to train: that of a checkpoint which has beacons, else a fresh one beside ordinary weights.

    The weights of `lm` become what gradients can pass through, and what can be saved.

    Raises:
        InputError: the checkpoint has another window than the plan.
    """
    unpack(lm.model)
    if not hasattr(lm.model.config, "beacon_window"):
        return fresh(lm.model, lm.tokenizer.eos_token_id, plan)
    beacons = BeaconModel.beside(lm.model, source)
    if beacons.layout.window != plan.window:
        raise InputError(
            f"{source} was trained with windows of {beacons.layout.window} tokens. Add --window "
            f"{beacons.layout.window}, or begin from a model without beacons."
        )
    lm.model.config.beacon_ratio = list(plan.ratios)
    return beacons


def fresh(model: PreTrainedModel, end_of_text: int, plan: TrainingPlan) -> BeaconModel:
    """Beacons as they are before any training: copies of the ordinary projections, and the end-of-text embedding."""
    chosen = {"window": plan.window, "stride": plan.window, "ratio": list(plan.ratios), "param": list(plan.param)}
    chosen |= {"ratio_mix": "step-random", "embed_init": "eos", "sink_size": 0, "parallel_window": 1}
    model.config.update({f"beacon_{name}": value for name, value in chosen.items()} | UNDERSTOOD)
    weights = {
        name.replace("self_attn.", "self_attn.beacon_"): tensor.detach().clone()
        for name, tensor in model.state_dict().items()
        if any(f".self_attn.{letter}_proj." in name for letter in plan.param)
    }
    embeddings: Any = model.get_input_embeddings()
    weights[EMBEDDING] = embeddings.weight[end_of_text][None].detach().clone()
    return BeaconModel(model, BeaconLayout(plan.window, plan.ratios[0], 0), weights)


def write(
    folder: Path,
    lm: LanguageModel,
    weights: Mapping[str, torch.Tensor],
    notes: Mapping[str, Any],
    base: str | None = None,
) -> None:
    """Put a checkpoint in the place of `folder`, whole or not at all.

    Args:
        weights: the beacon tensors by their published names.
        notes: how it came about, kept as `training.json`.
        base: write the beacons alone, in bfloat16; the ordinary weights are those of the model of this name.
    """
    draft, aside = (folder.with_name(f".{folder.name}-{what}") for what in ("new", "old"))
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    if base is None:
        model = lm.model
        vars(model.config).pop("beacon_base", None)
        tensors = {name: tensor.to(model.dtype, copy=True) for name, tensor in weights.items()}
        model.save_pretrained(draft, state_dict=model.state_dict() | tensors)
    else:
        halves = {name: tensor.to("cpu", torch.bfloat16, copy=True) for name, tensor in weights.items()}
        save_file(halves, draft / WEIGHTS, {"format": "pt"})
        lm.model.config.beacon_base = base
        lm.model.config.save_pretrained(draft)
        if lm.model.generation_config:
            lm.model.generation_config.save_pretrained(draft)
    lm.tokenizer.save_pretrained(draft)
    (draft / NOTES).write_text(json.dumps(notes, indent=2) + "\n", encoding="utf-8")
    if folder.exists():
        replace_folder(folder, draft, aside)
    else:
        os.replace(draft, folder)
