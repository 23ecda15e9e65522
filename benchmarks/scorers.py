"""Scorers of keys and values that Expected Attention is measured against."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from memorag_core.models.lm.kv_compression import Scorer, Segment, expected_attention


def key_diff(segment: Segment) -> torch.Tensor:
    """Keys that point away from the common direction. Park et al., KeyDiff, arXiv 2504.15364."""
    directions = normalize(segment.keys.float(), dim=-1)
    common = normalize(directions.mean(1, keepdim=True), dim=-1)
    return -(directions @ common.transpose(1, 2))[..., 0]


def key_norm(segment: Segment) -> torch.Tensor:
    """Short keys, which tend to draw attention. Devoto et al., A simple L2 norm strategy, arXiv 2406.11430."""
    lengths: torch.Tensor = segment.keys.float().norm(dim=-1)
    return -lengths


SCORERS: dict[str, Scorer] = {
    "expected_attention": expected_attention,
    "key_diff": key_diff,
    "key_norm": key_norm,
}
