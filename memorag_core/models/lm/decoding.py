"""Greedy decoding of a batch of prompts that continue one prefix."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.models.lm.decode_batch import DecodeBatch, DecodeRow, group_alike
from memorag_core.models.lm.prefix import Prefix


def decode(
    prefix: Prefix,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop: frozenset[int] = frozenset(),
    repetition_penalty: float = 1.0,
    on_forward: Callable[[], None] = lambda: None,
    on_replies: Callable[[list[list[int]]], None] = lambda _: None,
) -> list[list[int]]:
    """Continue every prompt greedily, in a batch of its own; what it continues is left as it was.

    Args:
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
    batch = DecodeBatch(prefix, stop)
    batch.reserve(len(rows), max(row.most for row in rows))
    for together in group_alike(rows):
        batch.join(together, tell)
    while batch.rows:
        on_replies([row.reply for row in rows])
        batch.advance()
        tell()
    on_replies([row.reply for row in rows])
    return [row.reply for row in rows]
