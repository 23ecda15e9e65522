"""Rotated keys and queries moved to other positions: by as much as they move, because rotations add up."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.models.llama.modeling_llama import rotate_half

BY_LENGTH = {"dynamic", "longrope"}
PROBE, MOVED = 4, 7
TOLERANCE = 0.02


def rotation(model: Any, by: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine, float32 (*by.shape, head dimension), that move what is rotated on by so many positions."""
    rotary = model.base_model.rotary_emb
    cos, sin = rotary(by.new_empty(0, dtype=torch.float32), by.view(1, -1))
    # what is rotated carries the scaling already
    scaling = rotary.attention_scaling
    shape = (*by.shape, cos.shape[-1])
    return (cos[0] / scaling).view(shape), (sin[0] / scaling).view(shape)


def rotate(rotated: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Keys or queries (…, head dimension) at their new positions, computed in float32 or wider."""
    wide = rotated.to(torch.promote_types(rotated.dtype, torch.float32))
    moved: torch.Tensor = wide * cos + rotate_half(wide) * sin
    return moved.to(rotated.dtype)


@torch.inference_mode()
def supports_shift(model: PreTrainedModel) -> bool:
    """Whether `rotation` is how this model rotates, in all layers: keys read further on are the keys moved there.

    Where a window slides over a text that other layers see whole, what is moved would be in other tokens' windows.
    """
    rope: Any = getattr(model.config, "rope_parameters", None) or {}
    if rope.get("rope_type") in BY_LENGTH or not hasattr(model.base_model, "rotary_emb"):
        return False
    if len(set(getattr(model.config, "layer_types", None) or ())) > 1:
        return False
    ids = torch.arange(1, PROBE + 1, device=model.device)[None]
    at = torch.arange(PROBE, device=model.device)[None]
    here, there = (
        model(ids, position_ids=places, use_cache=True, logits_to_keep=1).past_key_values.layers
        for places in (at, at + MOVED)
    )
    try:
        cos, sin = rotation(model, at[0].new_full((PROBE,), MOVED))
        return all(_alike(rotate(a.keys, cos, sin), b.keys) for a, b in zip(here, there, strict=True))
    except (RuntimeError, TypeError, AttributeError):
        return False  # angles of another width, or made in another way


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool((one - other).float().norm() <= TOLERANCE * other.float().norm())
