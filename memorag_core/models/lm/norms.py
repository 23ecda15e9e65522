"""Norms in one kernel each on CUDA, where transformers' own are eight, of which decoding starts thousands a token."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

HALVES = {torch.bfloat16, torch.float16}
ROUNDED = 0.02
"""What two roundings to half precision may differ from one by."""


def fuse_norms(model: torch.nn.Module) -> None:
    """Have root-mean-square norms of half precision on CUDA computed by torch's kernel, if it gives what they give."""
    agree: dict[type, bool] = {}
    for part in model.modules():
        if not _could_be_fused(part):
            continue
        if type(part) not in agree:
            agree[type(part)] = _agrees(part)
        if agree[type(part)]:
            part.forward = partial(compute_norm, part)


def separate_norms(model: torch.nn.Module) -> None:
    """Have them computed as transformers does again, for a compiler that fuses them with what stands around."""
    for part in model.modules():
        if isinstance(vars(part).get("forward"), partial):
            del part.forward


def compute_norm(norm: Any, hidden: torch.Tensor) -> torch.Tensor:
    """What such a norm gives, of (…, width); not by `rms_norm`, which autocast would have computed in float32."""
    if hidden.dtype != norm.weight.dtype:
        return torch.as_tensor(type(norm).forward(norm, hidden))
    normed: torch.Tensor = torch.ops.aten._fused_rms_norm.default(
        hidden, norm.weight.shape, norm.weight, norm.variance_epsilon
    )[0]
    return normed


def _could_be_fused(part: Any) -> bool:
    named = type(part).__name__.endswith("RMSNorm") and hasattr(part, "variance_epsilon")
    return named and part.weight.is_cuda and part.weight.dtype in HALVES


@torch.no_grad()
def _agrees(norm: Any) -> bool:
    """Whether both give the same: not where one is added to the weights, or torch has no such kernel."""
    hidden = torch.randn(3, *norm.weight.shape, device=norm.weight.device).to(norm.weight.dtype)
    try:
        found = compute_norm(norm, hidden)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, AttributeError):
        return False
    expected = norm(hidden).float()
    return bool((found.float() - expected).norm() <= ROUNDED * expected.norm())
