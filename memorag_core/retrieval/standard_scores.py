"""Standard scores (z-scores), by which scores of different kinds compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from memorag_core.retrieval.base import Hit


def standardize(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores with mean 0 and variance 1; those that are all alike are 0."""
    spread = float(scores.std()) if len(scores) else 0.0
    return (scores - scores.mean()) / spread if spread else np.zeros_like(scores)


def add_scores(hits: Sequence[Hit], others: Mapping[int, float], weight: float) -> list[Hit]:
    """Add other scores of the same texts to those of hits, both as standard scores, and sort, best first.

    A text that the others do not have counts as the lowest of them.
    """
    theirs = dict(zip(others, standardize(np.array([*others.values()], np.float64)).tolist(), strict=True))
    lowest = min(theirs.values())
    own = standardize(np.array([hit.score for hit in hits], np.float64)).tolist()
    added = [
        Hit(hit.chunk, score + weight * theirs.get(hit.chunk, lowest)) for hit, score in zip(hits, own, strict=True)
    ]
    return sorted(added, key=lambda hit: (-hit.score, hit.chunk))
