"""Standard scores (z-scores), by which scores of different kinds compare."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def standardize(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores with mean 0 and variance 1; those that are all alike are 0."""
    spread = float(scores.std()) if len(scores) else 0.0
    return (scores - scores.mean()) / spread if spread else np.zeros_like(scores)
