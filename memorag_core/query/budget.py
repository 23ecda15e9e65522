"""Choose the best texts that fit a budget of tokens."""

from __future__ import annotations

from collections.abc import Sequence

from memorag_core.text.chunking import Count


def fit_budget(texts: Sequence[str], tokens: int, count: Count) -> list[int]:
    """Choose the texts that fit into `tokens` together, in their order, the first in any case; returns their numbers.

    A text that does not fit is passed over, so a shorter one behind it may still be shown.
    """
    kept: list[int] = []
    for number, size in enumerate(count(texts)):
        if not kept or size <= tokens:
            kept.append(number)
            tokens -= size
    return kept
