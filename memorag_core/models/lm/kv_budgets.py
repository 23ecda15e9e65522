"""What is kept of a finished segment: the best entries by their scores, moved together and all others freed."""

from __future__ import annotations

import torch

from memorag_core.models.lm.key_values import KeyValues, RaggedKeyValues
from memorag_core.models.lm.kv_compression import Turns
from memorag_core.models.lm.rope import rotate

SINK = 4


def choose_best(scores: torch.Tensor, budget: int, by_head: bool) -> torch.Tensor:
    """Mark the entries to keep, of scores (layers, key-value heads, entries).

    Each head keeps its `budget` best; `by_head`, all heads together keep the best of all, as many on average.
    """
    if by_head:
        flat = scores.flatten()
        best = flat.topk(budget * scores[..., 0].numel()).indices
        return torch.zeros_like(flat, dtype=torch.bool).scatter_(0, best, True).view(scores.shape)
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, scores.topk(budget).indices, True)


def keep_chosen(segment: KeyValues, chosen: torch.Tensor, budget: int, turns: Turns) -> KeyValues:
    """The state of a segment of which only what is chosen is kept, in `budget` positions from where it began."""
    # The entries of a head move to the front of the segment, in their order: a key that stood at place p and now stands
    # at i is rotated by i - p, as if it had been written there. A head that has more entries than there are positions
    # spreads them evenly over these, so that what follows has the same position for all heads.
    keys, values = [], []
    for layer, marks in enumerate(chosen):
        places = marks.nonzero()[:, 1]
        ranks = marks.cumsum(1)[marks] - 1
        crowding = (budget / marks.sum(1, keepdim=True).clamp(min=budget)).expand_as(marks)[marks]
        cos, sin = turns(ranks * crowding - places)
        keys.append(rotate(segment.keys[layer][0][marks], cos, sin)[None, None])
        values.append(segment.values[layer][0][marks][None, None])
    begins = segment.next_position - chosen.shape[-1]
    kept = RaggedKeyValues(tuple(keys), tuple(values), begins + budget, chosen.sum(-1)[None].cpu())
    return kept.even if bool((kept.counts == budget).all()) else kept
