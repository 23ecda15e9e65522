"""Activation beacons on transformers' own models, ordinary weights and beacon weights side by side.

Text is read in windows. After every `ratio` tokens a beacon is interleaved, whose hidden state starts from an
embedding of its own and goes through projections of its own; when a window is full, the keys and values of its
beacons stay and those of its tokens go. Zhang et al., Long Context Compression with Activation Beacon, arXiv
2401.03462; the memory models are those of MemoRAG, arXiv 2409.05591.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import safe_open
from transformers import PreTrainedModel

from memorag_core.errors import InputError, ModelUnavailable
from memorag_core.models import hub
from memorag_core.models.beacon.layout import BeaconLayout
from memorag_core.models.beacon.modules import BeaconLinear, Entries, KVOnlyLayer, TokenRouting
from memorag_core.models.lm.fp16_linear import Fp16Linear, pack_linear
from memorag_core.models.lm.key_values import KeyValues
from memorag_core.models.lm.language_model import load_model
from memorag_core.models.lm.rope import BY_LENGTH

RATIOS = range(2, 33)
USUAL_RATIO = 4
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
EMBEDDING = "model.beacon_embed_tokens.weight"
UNDERSTOOD = {"beacon_pos": "interleave", "beacon_attn": "full-coverage", "beacon_attend_prev": True}


@dataclass(frozen=True, slots=True)
class BeaconState:
    """What is kept of `read` tokens: keys rotated for positions 0 to n-1 over the layout's entries, and values."""

    key_values: KeyValues
    read: int


class BeaconModel:
    """A causal language model with beacon weights beside it. The model itself stays the plain model.

    Thread-safe to read, one call at a time: while entries with beacons pass through, projections are replaced.
    """

    def __init__(self, model: PreTrainedModel, layout: BeaconLayout, weights: Mapping[str, torch.Tensor]) -> None:
        """Take a loaded model and the tensors of `read_weights`."""
        self.model = model
        self.layout = layout
        self.embedding = _take(weights, EMBEDDING)[0].to(model.device, model.dtype)
        self._where = TokenRouting()
        self._routed = [
            (layer.self_attn, name, self._route(layer.self_attn, number, name, weights))
            for number, layer in enumerate(model.base_model.layers)  # type: ignore[arg-type]  # untyped
            for name in _parameters(model.config)
        ]

    @classmethod
    def load(cls, source: str | Path, device: str = "cpu", ratio: int | None = None) -> Self:
        """Load a folder or a hub id in the published layout: bfloat16 on CUDA, float32 elsewhere.

        No code of the repository is run: the model class is transformers' own for the configuration's `model_type`.

        Raises:
            ModelUnavailable: not there, or not a beacon checkpoint that this code understands.
            InputError: a ratio out of range.
        """
        return cls.beside(load_model(source, device), source, ratio)

    @classmethod
    def beside(cls, model: PreTrainedModel, source: str | Path, ratio: int | None = None) -> Self:
        """The beacon weights of `source` beside a model that is loaded already; raises what `load` raises.

        Args:
            ratio: tokens a beacon stands for, 2 to 32, or 0 for none; by default the checkpoint's own, and 4 (what
                MemoRAG runs with) where it was trained for several.
        """
        layout = _layout(model.config, ratio)
        return cls(model, layout, read_weights(source))

    @property
    def own(self) -> dict[str, torch.nn.Module]:
        """The projections that beacons have of their own, by their names in a checkpoint; to be trained where the
        model's are linear layers, not packed ones."""
        return {
            f"model.layers.{attention.layer_idx}.self_attn.beacon_{name}": routed.beacon
            for attention, name, routed in self._routed
        }

    def hidden(self, ids: torch.Tensor, read: int, layout: BeaconLayout | None = None, **inputs: Any) -> torch.Tensor:
        """Pass tokens and the beacons due among them through the model.

        Args:
            ids: (rows, tokens), of which each row follows `read` others.
            layout: where beacons stand, if not as in `self.layout`.
            inputs: what transformers' model takes beside them: positions, mask, cache, memory.

        Returns:
            The last hidden states (rows, tokens and beacons, hidden size), normalized, in the model's dtype.
        """
        embedded = self.model.get_input_embeddings()(ids)
        tokens, beacons = (layout or self.layout).columns(ids.shape[1], read, ids.device)
        if not len(beacons):
            return self._pass_layers(embedded, inputs)
        own = self.embedding.to(embedded.dtype).expand(len(ids), len(beacons), -1)
        order = torch.cat([tokens, beacons]).argsort()
        entries = torch.cat([embedded, own], dim=1).index_select(1, order)
        rows = torch.arange(len(ids), device=ids.device)[:, None] * len(order)
        with self.projections((rows + tokens).flatten(), (rows + beacons).flatten()):
            return self._pass_layers(entries, inputs)

    def hidden_of_step(self, tokens: torch.Tensor, with_beacons: bool, **inputs: Any) -> torch.Tensor:
        """Pass a token of each row through the model, or token and beacon; `inputs` and what returns as of `hidden`."""
        embedded = self.model.get_input_embeddings()(tokens[:, None])
        if not with_beacons:
            return self._pass_layers(embedded, inputs)
        beacons = self.embedding.to(embedded.dtype).expand_as(embedded)
        with self.projections(slice(0, None, 2), slice(1, None, 2)):
            return self._pass_layers(torch.cat([embedded, beacons], dim=1), inputs)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(rows, hidden size) to (rows, vocabulary)."""
        scores: torch.Tensor = self.model.get_output_embeddings()(hidden)
        return scores

    @contextmanager
    def projections(self, tokens: Entries, beacons: Entries) -> Iterator[None]:
        """Replace the projections that beacons have of their own; the plain ones are back afterwards, come what may."""
        try:
            self._where.tokens, self._where.beacons = tokens, beacons
            for attention, name, routed in self._routed:
                setattr(attention, name, routed)
            yield
        finally:
            self._where.forget()
            for attention, name, routed in self._routed:
                setattr(attention, name, routed.ordinary)

    @contextmanager
    def only_remembering(self) -> Iterator[None]:
        """Leave out of the last layer what no memory keeps; hidden states mean nothing then. It is back afterwards."""
        layers: Any = self.model.base_model.layers
        last = layers[-1]
        try:
            layers[-1] = KVOnlyLayer(last)
            yield
        finally:
            layers[-1] = last

    def _pass_layers(self, embedded: torch.Tensor, inputs: dict[str, Any]) -> torch.Tensor:
        passed = self.model.base_model(inputs_embeds=embedded, use_cache=True, **inputs)
        states: torch.Tensor = passed.last_hidden_state
        return states

    def _route(self, attention: Any, layer: int, name: str, weights: Mapping[str, torch.Tensor]) -> BeaconLinear:
        prefix = f"model.layers.{layer}.self_attn.beacon_{name}."
        weight = _take(weights, prefix + "weight")
        with torch.device("meta"):
            beacon = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=prefix + "bias" in weights)
        own = {key.removeprefix(prefix): tensor for key, tensor in weights.items() if key.startswith(prefix)}
        here = {key: tensor.to(self.model.device, self.model.dtype) for key, tensor in own.items()}
        beacon.load_state_dict(here, assign=True)
        beacon.requires_grad_(False)
        ordinary = getattr(attention, name)
        return BeaconLinear(ordinary, pack_linear(beacon) if type(ordinary) is Fp16Linear else beacon, self._where)


def read_weights(source: str | Path) -> dict[str, torch.Tensor]:
    """The beacon tensors of a folder or hub id, from one safetensors file or several; nothing else is read."""
    index = hub.find_file(source, INDEX)
    names = [WEIGHTS]
    if index is not None:
        placed = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"]
        names = sorted({file for name, file in placed.items() if "beacon" in name})
    tensors: dict[str, torch.Tensor] = {}
    for name in names:
        path = hub.find_file(source, name)
        if path is None:
            raise ModelUnavailable(f"'{source}' has no {name}. Give a folder or hub id with safetensors weights.")
        with safe_open(path, framework="pt") as file:
            tensors |= {key: file.get_tensor(key) for key in file.keys() if "beacon" in key}  # noqa: SIM118  # no dict
    return tensors


def _take(weights: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
    if name not in weights:
        raise ModelUnavailable(f"The checkpoint has no {name}. Give one whose weights hold all of its beacon_param.")
    return weights[name]


def _parameters(config: Any) -> tuple[str, ...]:
    """The names of the projections that beacons have of their own."""
    unknown = set(config.beacon_param) - set("qkvo")
    if unknown:
        raise ModelUnavailable(f"beacon_param names {sorted(unknown)}; only q, k, v and o are understood.")
    return tuple(f"{letter}_proj" for letter in config.beacon_param)


def _layout(config: Any, ratio: int | None) -> BeaconLayout:
    """The layout a configuration asks for, checked."""
    if not hasattr(config, "beacon_window"):
        raise ModelUnavailable(
            "This model has no beacons (its configuration has no beacon_window). Give a MemoRAG memory model, such as "
            "TommyChien/memorag-qwen2-7b-inst."
        )
    window = int(config.beacon_window)
    expected = UNDERSTOOD | {"beacon_stride": window, "beacon_parallel_window": 1}
    differing = {name: getattr(config, name, value) for name, value in expected.items()}
    differing = {name: value for name, value in differing.items() if value != expected[name]}
    if differing or config.rope_parameters.get("rope_type") in BY_LENGTH:
        raise ModelUnavailable(
            f"This beacon checkpoint is of another kind ({differing or config.rope_parameters}). Understood are "
            f"{expected}, and rotary angles that do not depend on the length."
        )
    return BeaconLayout(window, _ratio(config.beacon_ratio, window, ratio), int(getattr(config, "beacon_sink_size", 0)))


def _ratio(trained: Sequence[int], window: int, chosen: int | None) -> int:
    """The ratio chosen, or the checkpoint's."""
    if chosen is None:
        chosen = USUAL_RATIO if USUAL_RATIO in trained else int(trained[0])
    if chosen and (chosen not in RATIOS or chosen > window):
        raise InputError(
            f"beacon_ratio is {chosen}; choose a number from {RATIOS[0]} to {min(RATIOS[-1], window)}, or 0 for none."
        )
    return chosen
