"""Greedy decoding of a batch of prompts, alone or over one shared memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from transformers import PreTrainedModel

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.models.lm.decode_batch import DecodeBatch, DecodeRow, group_alike
from memorag_core.models.lm.key_values import KeyValues


def decode(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop: frozenset[int],
    memory: KeyValues | None = None,
    repetition_penalty: float = 1.0,
    on_forward: Callable[[], None] = lambda: None,
    on_replies: Callable[[list[list[int]]], None] = lambda _: None,
) -> list[list[int]]:
    """Continue every prompt greedily; the memory, where there is one, stands before each and is left as it was.

    Args:
        model: loaded with the attention of `attention.register()`.
        prompts: token ids; rows may differ in length.
        stop: ids that end a row; not part of what is returned.
        repetition_penalty: divides the logits of tokens the row has already generated (CTRL, arXiv 1909.05858).
        on_forward: called after every few passes through the model; may raise to stop.
        on_replies: called as often with what is returned, as far as it goes.

    Returns:
        The new token ids of each prompt, at most `max_new_tokens`.
    """

    def tell() -> None:
        raise_if_cancelled()
        on_forward()

    rows = [DecodeRow(prompt, max_new_tokens, repetition_penalty) for prompt in prompts]
    batch = DecodeBatch(model, stop, memory)
    batch.reserve(len(rows), max(row.most for row in rows))
    for together in group_alike(rows):
        batch.join(together, tell)
    while batch.rows:
        on_replies([row.reply for row in rows])
        batch.advance()
        tell()
    on_replies([row.reply for row in rows])
    return [row.reply for row in rows]


class Greedy:
    """Picks the likeliest token of every row, step by step, and keeps what each row has said before it stopped."""

    def __init__(self, rows: int, stop: frozenset[int] = frozenset(), repetition_penalty: float = 1.0) -> None:
        """Take the ids that end a row, and what divides the logits of tokens a row has already generated."""
        self.replies: list[list[int]] = [[] for _ in range(rows)]
        self._stop = stop
        self._penalty = repetition_penalty
        self._open = set(range(rows))
        self._seen: torch.Tensor | None = None

    def take(self, logits: torch.Tensor) -> torch.Tensor | None:
        """The next token of each row, (rows, 1), from logits (rows, vocabulary); None once every row has stopped."""
        if self._seen is None:
            self._seen = torch.zeros_like(logits, dtype=torch.bool)
        chosen = _penalize(logits, self._seen, self._penalty).argmax(-1, keepdim=True)
        tokens = chosen[:, 0].tolist()
        self._open = {row for row in self._open if tokens[row] not in self._stop}
        for row in self._open:
            self.replies[row].append(tokens[row])
        self._seen.scatter_(1, chosen, True)
        return chosen if self._open else None


def _penalize(logits: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    if penalty == 1.0:
        return logits
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)
