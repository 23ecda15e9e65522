"""Which entries of a key-value state to keep when nobody knows yet what will be asked, without any training.

A scorer sees one segment in one layer and scores its entries, separately for each key-value head; the best are kept.
To add one: a function, and a row in `SCORERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from memorag_core.models.lm.rope import rotate

HORIZON = 512


@dataclass(frozen=True)
class Segment:
    """What one layer has read, all rotated: entry i stands at position `start` + i.

    `keys` and `values` are (key-value heads, entries, head dimension); `queries` are those of the last entries,
    (heads, some, head dimension). `turns` gives the angles of positions, as `rope.rotation` does.
    """

    keys: torch.Tensor
    values: torch.Tensor
    queries: torch.Tensor
    start: int
    turns: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


Scorer = Callable[[Segment], torch.Tensor]
"""Scores (key-value heads, entries); the higher, the more worth keeping."""


def expected_attention(segment: Segment) -> torch.Tensor:
    """The attention that queries to come will pay, times the length of what it would fetch.

    Devoto et al., Expected Attention, arXiv 2510.00636: queries before rotation are taken as a Gaussian, whose mean
    and covariance are those of the queries seen; rotated for the `HORIZON` positions that follow, averaged.
    """
    kv_heads, entries, width = segment.keys.shape
    heads, seen, _ = segment.queries.shape
    end = segment.start + entries
    places = torch.arange(end + HORIZON, device=segment.keys.device)
    plain = rotate(segment.queries.float(), *segment.turns(-places[end - seen : end]))
    mean = plain.mean(1, keepdim=True)
    spread = (plain - mean).transpose(1, 2) @ (plain - mean) / seen
    cos, sin = (angles.mean(0) for angles in segment.turns(places[end:]))
    mean = rotate(mean, cos, sin)
    spread = rotate(rotate(spread, cos, sin).transpose(1, 2), cos, sin)
    keys = segment.keys.float().repeat_interleave(heads // kv_heads, 0)
    exponent = (keys @ mean.transpose(1, 2))[..., 0] / width**0.5
    exponent = exponent + ((keys @ spread) * keys).sum(-1) / (2 * width)
    attention: torch.Tensor = exponent.softmax(-1).view(kv_heads, -1, entries).mean(1)
    fetched: torch.Tensor = segment.values.float().norm(dim=-1)
    return attention * fetched
