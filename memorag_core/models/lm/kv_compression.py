"""Which entries of a key-value state to keep when nobody knows yet what will be asked, without any training.

A scorer sees one segment in one layer and scores its entries, separately for each key-value head; the best are kept.
To add one: a function, and a row in `SCORERS`, where its name is what `--compression-method` takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from memorag_core.models.lm.rope import rotate

HORIZON = 512
QUERIES_AT_ONCE = 1 << 24
"""Scores of queries that are held at once."""

Turns = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""The angles of positions, as `rope.rotation` gives them."""


@dataclass(frozen=True)
class Segment:
    """What one layer has read, all rotated: entry i stands at position `start` + i.

    `keys` and `values` are (key-value heads, entries, head dimension); `queries` (heads, some, head dimension) are
    those of the last entries, or of a replay of some of the segment; `totals` (heads, some) are the log-sum-exp of
    the scores of each query with all that it sees.
    """

    keys: torch.Tensor
    values: torch.Tensor
    queries: torch.Tensor
    totals: torch.Tensor
    start: int
    turns: Turns


@dataclass(frozen=True)
class Scorer:
    """A way to compress.

    Attributes:
        score: scores (key-value heads, entries); the higher, the more worth keeping.
        replays: whether what is observed is the model repeating the segment, part after part; an entry then has the
            highest score of any part.
        by_head: whether all heads of all layers compete for one budget, scores being comparable among them;
            otherwise each keeps as much.
    """

    name: str
    score: Callable[[Segment], torch.Tensor]
    replays: bool = False
    by_head: bool = False


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


def replayed_attention(segment: Segment) -> torch.Tensor:
    """The logarithm of the most attention that any query of the replay pays, with any head of the group.

    Kim et al., KVzip, arXiv 2505.23416: what a model needs to say the text again is what any question may need.
    """
    kv_heads, entries, width = segment.keys.shape
    queries = segment.queries.reshape(kv_heads, -1, width)
    totals = segment.totals.reshape(kv_heads, -1, 1)
    most = segment.keys.new_full((kv_heads, entries), float("-inf"), dtype=torch.float32)
    at_once = max(1, QUERIES_AT_ONCE // (kv_heads * entries))
    for some, their in zip(queries.split(at_once, 1), totals.split(at_once, 1), strict=True):
        paid = (some @ segment.keys.transpose(1, 2)).float() / width**0.5 - their
        most = torch.maximum(most, paid.amax(1))
    return most


EXPECTED_ATTENTION = Scorer("expected_attention", expected_attention)
KVZIP = Scorer("kvzip", replayed_attention, replays=True, by_head=True)
SCORERS = {scorer.name: scorer for scorer in (EXPECTED_ATTENTION, KVZIP)}
