"""Scorers of keys and values that the product's are measured against."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from memorag_core.models.lm import kv_compression as compression
from memorag_core.models.lm.kv_compression import Scorer, Segment


def key_diff(segment: Segment) -> torch.Tensor:
    """Keys that point away from the common direction. Park et al., KeyDiff, arXiv 2504.15364."""
    directions = normalize(segment.keys.float(), dim=-1)
    common = normalize(directions.mean(1, keepdim=True), dim=-1)
    return -(directions @ common.transpose(1, 2))[..., 0]


def key_norm(segment: Segment) -> torch.Tensor:
    """Short keys, which tend to draw attention. Devoto et al., A simple L2 norm strategy, arXiv 2406.11430."""
    lengths: torch.Tensor = segment.keys.float().norm(dim=-1)
    return -lengths


SCORERS = compression.SCORERS | {
    scorer.name: scorer
    for scorer in (
        Scorer("key_diff", key_diff),
        Scorer("key_norm", key_norm),
        Scorer("kvzip_even", compression.replayed_attention, replays=True),
        Scorer("ea_by_head", compression.expected_attention, by_head=True),
    )
}
