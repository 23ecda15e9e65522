"""Sparse attention for reading a long text at once on CUDA: MInference's kernel, and the choice of what it computes.

Jiang et al., MInference 1.0, arXiv 2407.02490: in most heads the last queries tell which columns (tokens all look
at) and which diagonals (distances all look back) carry the attention.
"""

from __future__ import annotations

import torch

from memorag_core.errors import InputError, require
from memorag_core.models.lm.attention import Attention

LAST = 64
COLUMNS, DIAGONALS = 1000, 6096
FIRST_COLUMNS, FIRST_DIAGONALS = 30, 100


def sparse_attention(device: torch.device) -> Attention:
    """Attention over a whole text that leaves out what the last queries hardly look at.

    Raises:
        InputError: on a device that is not CUDA.
        MissingExtra: MInference is not installed.
    """
    if device.type != "cuda":
        raise InputError(
            f"MInference's kernels need a CUDA device; the model is on {device.type}. Leave out --prefill minference, "
            "or choose --device cuda on a machine that has one."
        )
    kernel = require("minference", "gpu").vertical_slash_sparse_attention
    return lambda query, key, value: kernel(query, key, value, *chosen(query, key))


def chosen(query: torch.Tensor, key: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The columns, and the diagonals as distances, that the last queries attend to most: (1, heads, some) each."""
    tokens, last = key.shape[2], min(LAST, key.shape[2])
    at = torch.arange(tokens - last, tokens, device=key.device)[:, None]
    distance = at - torch.arange(tokens, device=key.device)
    scores = query[:, :, -last:] @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    weights = scores.masked_fill(distance < 0, float("-inf")).softmax(-1, dtype=torch.float32)
    columns = weights.sum(-2)
    columns[..., :FIRST_COLUMNS] = torch.inf
    diagonals = torch.zeros_like(columns)
    diagonals.scatter_add_(-1, distance.clamp(min=0).flatten().expand(*columns.shape[:2], -1), weights.flatten(2))
    diagonals[..., :FIRST_DIAGONALS] = torch.inf
    return (
        columns.topk(min(COLUMNS, tokens)).indices,
        diagonals.topk(min(DIAGONALS, tokens)).indices,
    )
