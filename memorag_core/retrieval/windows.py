"""Split a text that does not fit a model's window into parts; none is left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.text.chunking import Count, split
from memorag_core.text.slices import batches

BATCH_CHARACTERS = 100_000
"""What is counted at once: a tenth of a second, between which work can be cancelled."""


def count_tokens(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Count the tokens of each text, without special tokens, and without a warning where a text is long."""
    counts: list[int] = []
    for batch in batches(texts, BATCH_CHARACTERS):
        raise_if_cancelled()
        encoded = tokenizer(batch, add_special_tokens=False, verbose=False)
        counts += [len(ids) for ids in encoded["input_ids"]]
    return counts


def windows(text: str, limit: int, count: Count) -> list[str]:
    """`text` itself where it has at most `limit` tokens, else consecutive parts of it that have, sentences kept whole.

    A limit below one token is raised to it.
    """
    limit = max(limit, 1)
    if count([text])[0] <= limit:
        return [text]
    return [text[start:end] for start, end in split(text, limit, count)]
