"""Rerank by a cross-encoder, which reads the query and each text together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.concurrency.device_memory import in_halves
from memorag_core.errors import ModelUnavailable
from memorag_core.models.hub import loading
from memorag_core.retrieval.windows import count_tokens, windows

BATCH = 32
QUERY_SHARE = 0.5


class CrossEncoder:
    """Any sentence-transformers `CrossEncoder` with one label, from a folder or a hub id."""

    def __init__(self, source: str | Path, device: str) -> None:
        """Load the model.

        Raises:
            ModelUnavailable: it cannot be had, or it gives classes instead of one score.
        """
        from sentence_transformers import CrossEncoder

        with loading(source):
            self.encoder = CrossEncoder(str(source), device=device)
        if self.encoder.num_labels != 1:
            raise ModelUnavailable(
                f"The model '{source}' sorts pairs into {self.encoder.num_labels} classes and cannot rank texts. "
                "Choose a cross-encoder with one score, such as BAAI/bge-reranker-v2-m3."
            )

    @property
    def max_tokens(self) -> int:
        """The longest query and text, in tokens together, that are read at once."""
        special: int = self.encoder.tokenizer.num_special_tokens_to_add(pair=True)
        return int(self.encoder.max_seq_length or 512) - special

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special tokens."""
        return count_tokens(self.encoder.tokenizer, texts)

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """The model's own score of each text, higher is better, in their order.

        What is too long is read in windows, nothing left out: a text's score is its best window's. A query may fill
        half the model's window; a longer one is read in parts too, and their scores averaged.
        """
        parts = windows(query, int(self.max_tokens * QUERY_SHARE), self.count)
        by_part = [self._scores(part, texts) for part in parts]
        return [float(np.mean(column)) for column in zip(*by_part, strict=True)]

    def _scores(self, query: str, texts: Sequence[str]) -> list[float]:
        room = self.max_tokens - self.count([query])[0]
        cut = [windows(text, room, self.count) for text in texts]
        scores = self._predict([(query, window) for text in cut for window in text])
        borders = np.cumsum([0, *map(len, cut)])
        return [max(scores[start:end]) for start, end in pairwise(borders)]

    def _predict(self, pairs: list[tuple[str, str]]) -> list[float]:
        """Scores of pairs that fit, those of like length together."""
        order = sorted(range(len(pairs)), key=lambda number: len(pairs[number][1]))
        scores = [0.0] * len(pairs)
        for start in range(0, len(pairs), BATCH):
            raise_if_cancelled()
            batch = order[start : start + BATCH]
            given = in_halves([pairs[number] for number in batch], self._predict_together)
            for number, score in zip(batch, given, strict=True):
                scores[number] = score
        return scores

    def _predict_together(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        given: Any = self.encoder.predict(list(pairs), batch_size=BATCH, show_progress_bar=False)
        return [float(score) for score in given]
