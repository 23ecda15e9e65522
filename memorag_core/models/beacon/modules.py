"""Modules that stand in for a model's own while entries with beacons, or only to be remembered, pass through."""

from __future__ import annotations

from typing import Any

import torch
from transformers.models.llama.modeling_llama import rotate_half

Entries = torch.Tensor | slice
"""Some of the entries of a forward pass, (rows · new): their numbers, or where they stand at regular distances."""


class TokenRouting:
    """Which entries of the running forward pass are tokens and which are beacons."""

    tokens: Entries
    beacons: Entries

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """No pass is running: let go of its tensors."""
        self.tokens = self.beacons = slice(0)
        self._hidden: torch.Tensor | None = None
        self._parts: tuple[torch.Tensor, ...] = ()

    def split(self, hidden: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Tokens and beacons of (rows, new, size), each (entries, size); copied once for all that take the same."""
        if hidden is not self._hidden:
            flat = hidden.flatten(0, 1)
            self._hidden, self._parts = hidden, (flat[self.tokens], flat[self.beacons])
        return self._parts


class BeaconLinear(torch.nn.Module):
    """A projection that sends tokens through the ordinary weights only, and beacons through their own only."""

    def __init__(self, ordinary: torch.nn.Module, beacon: torch.nn.Module, where: TokenRouting) -> None:
        super().__init__()
        self.ordinary, self.beacon, self.where = ordinary, beacon, where

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(rows, new, in) to (rows, new, out)."""
        tokens, beacons = self.where.split(hidden)
        ordinary: torch.Tensor = self.ordinary(tokens)
        out = ordinary.new_empty(hidden.shape[0] * hidden.shape[1], ordinary.shape[-1])
        out[self.where.tokens] = ordinary
        out[self.where.beacons] = self.beacon(beacons)
        return out.view(*hidden.shape[:2], -1)


class KVOnlyLayer(torch.nn.Module):
    """A decoder layer that computes nothing but what stays of it in the cache; it gives back what it was given."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.norm, self.attention = layer.input_layernorm, layer.self_attn

    def forward(
        self,
        hidden: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        past_key_values: Any,
        **_: Any,
    ) -> torch.Tensor:
        """(rows, new, hidden size) to the same."""
        normed, (cos, sin) = self.norm(hidden), position_embeddings
        keys, values = (
            project(normed).unflatten(-1, (-1, self.attention.head_dim)).transpose(1, 2)
            for project in (self.attention.k_proj, self.attention.v_proj)
        )
        turned = keys * cos[:, None] + rotate_half(keys) * sin[:, None]
        past_key_values.update(turned, values, self.attention.layer_idx)
        return hidden
