"""The loss of next tokens over windows with beacons: what `BeaconReading` computes, kept in one graph.

Windows are read in order, and the beacons of those before stay in the graph, so that a window's loss reaches the
weights through all of its memory. Zhang et al., arXiv 2401.03462, section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers.cache_utils import Cache, DynamicLayer

from memorag_core.models.beacon.layout import BeaconLayout
from memorag_core.models.beacon.model import EMBEDDING, BeaconModel
from memorag_core.models.lm.attention import lower_right
from memorag_core.models.lm.norms import separate_norms
from memorag_core.models.lm.rope import rotate, rotation

UNCOUNTED = -100


@dataclass(frozen=True, slots=True)
class Folded:
    """What is kept of the windows read: one tensor a layer, (rows, key-value heads, entries, head dimension)."""

    keys: tuple[torch.Tensor, ...] = ()
    values: tuple[torch.Tensor, ...] = ()

    @property
    def entries(self) -> int:
        """Entries kept, the same in every layer."""
        return int(self.keys[0].shape[-2]) if self.keys else 0


class BeaconLoss(torch.nn.Module):
    """The trainable weights of a beacon model, in float32 or wider, and the loss that trains them.

    The model beneath is frozen and no part of this module: what is prepared, reduced and saved is the beacons' alone.
    """

    def __init__(self, beacons: BeaconModel, recompute: bool = False, compiled: bool = False) -> None:
        """Take a model; with `recompute`, the activations of one window at a time are held in the backward pass."""
        super().__init__()
        beacons.model.requires_grad_(False)
        self.loss = WindowsLoss(beacons, recompute, compiled)
        self.projections = torch.nn.ModuleList(beacons.own.values()).to(self.loss.wide).requires_grad_(True)
        self.embedding = torch.nn.Parameter(beacons.embedding.to(self.loss.wide))
        beacons.embedding = self.embedding
        self.beacons = beacons

    def weights(self) -> dict[str, torch.Tensor]:
        """The beacon tensors by their published names, detached."""
        named = {
            f"{name}.{part}": tensor.detach()
            for name, projection in self.beacons.own.items()
            for part, tensor in projection.named_parameters()
        }
        return named | {EMBEDDING: self.embedding.detach()[None]}

    def forward(self, ids: torch.Tensor, targets: torch.Tensor, ratios: Sequence[int]) -> torch.Tensor:
        """As `WindowsLoss`."""
        return self.loss(ids, targets, ratios)


class WindowsLoss:
    """The loss of a beacon model as it is; no weight is changed, and none is made wider."""

    def __init__(self, beacons: BeaconModel, recompute: bool = False, compiled: bool = False) -> None:
        """As `BeaconLoss`; where it is `compiled`, what stands between matrix products is fused."""
        self.beacons = beacons
        self.recompute = recompute
        self.wide = torch.promote_types(beacons.model.dtype, torch.float32)
        self._score = torch.compile(score, dynamic=True) if compiled else score
        if compiled:
            compile_layers(beacons.model)

    def __call__(self, ids: torch.Tensor, targets: torch.Tensor, ratios: Sequence[int]) -> torch.Tensor:
        """The summed negative log-likelihood, in nats, of all targets that count.

        Args:
            ids: (rows, tokens).
            targets: (rows, tokens), the token that follows each, or `UNCOUNTED`; best where the host can look.
            ratios: one a window, each a divisor of the window.
        """
        window, device = self.beacons.layout.window, self.beacons.model.device
        loss, folded = torch.zeros((), dtype=self.wide, device=device), Folded()
        ids, targets = ids.to(device), targets.cpu()
        for number, ratio in enumerate(ratios):
            at = slice(number * window, (number + 1) * window)
            given = (ids[:, at], targets[:, at], number, ratio, folded)
            more, folded = (
                checkpoint(self._window, *given, use_reentrant=False) if self.recompute else self._window(*given)
            )
            loss = loss + more
        return loss

    def _window(
        self, ids: torch.Tensor, targets: torch.Tensor, number: int, ratio: int, folded: Folded
    ) -> tuple[torch.Tensor, Folded]:
        """The loss of one window, and the memory with its beacons where it is full."""
        layout, device = replace(self.beacons.layout, ratio=ratio), ids.device
        read, new = number * layout.window, ids.shape[1]
        cache = Cache(
            layers=[_WindowLayer(layer, folded) for layer in range(self.beacons.model.config.num_hidden_layers)]
        )
        past, entries = folded.entries, layout.place(new, read)
        hidden = self.beacons.hidden(
            ids,
            read,
            layout,
            past_key_values=cache,
            position_ids=torch.arange(past, past + entries, device=device)[None],
            attention_mask=lower_right(device),
        )
        counted = (targets != UNCOUNTED).flatten().nonzero()[:, 0]
        loss = torch.zeros((), dtype=self.wide, device=device)
        if len(counted):
            tokens, _ = layout.columns(new, read, device)
            states = hidden.index_select(1, tokens).flatten(0, 1).index_select(0, counted.to(device))
            wanted = targets.flatten()[counted].to(device)
            loss = self._score(self.beacons.logits(states), wanted, self.wide)
        full = new == layout.window
        return loss, self._fold(layout, read + new, folded, cache) if full else folded

    def _fold(self, layout: BeaconLayout, read: int, folded: Folded, cache: Cache) -> Folded:
        """The memory with the entries that stay of the window just read, turned to their places."""
        kept = layout.kept(read)
        moves = torch.tensor([place - entry for place, entry in enumerate(kept)], device=self.beacons.model.device)
        cos, sin = rotation(self.beacons.model, moves)
        layers: Any = cache.layers
        keys = [rotate(layer.new_keys[:, :, kept], cos, sin) for layer in layers]
        values = [layer.new_values[:, :, kept] for layer in layers]
        if folded.entries:
            keys = [torch.cat(pair, dim=2) for pair in zip(folded.keys, keys, strict=True)]
            values = [torch.cat(pair, dim=2) for pair in zip(folded.values, values, strict=True)]
        return Folded(tuple(keys), tuple(values))


def score(logits: torch.Tensor, targets: torch.Tensor, wide: torch.dtype) -> torch.Tensor:
    """The summed negative log-likelihood of targets, computed in a wide dtype."""
    return torch.nn.functional.cross_entropy(logits.to(wide), targets, reduction="sum")


def compile_layers(model: Any) -> None:
    """Have norms and feed-forward layers compiled when they are first called: once for all layers, of any length."""
    separate_norms(model)
    model.base_model.norm.compile(dynamic=True)
    for layer in model.base_model.layers:
        for part in (layer.input_layernorm, layer.post_attention_layernorm, layer.mlp):
            part.compile(dynamic=True)


class _WindowLayer(DynamicLayer):
    """One layer of a window's entries behind the memory: read once, nothing written in place."""

    def __init__(self, number: int, folded: Folded) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # transformers' cache layers are untyped
        self.past = (folded.keys[number], folded.values[number]) if folded.entries else None
        self.new_keys: torch.Tensor
        self.new_values: torch.Tensor

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.new_keys, self.new_values = key_states, value_states
        if self.past is None:
            return key_states, value_states
        return torch.cat([self.past[0], key_states], dim=2), torch.cat([self.past[1], value_states], dim=2)

    def get_seq_length(self) -> int:
        return 0 if self.past is None else int(self.past[0].shape[-2])
