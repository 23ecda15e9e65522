"""Greedy decoding of a batch of prompts, alone or over one shared memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from transformers import PreTrainedModel

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.models.lm.attention import BufferCache, KeyValues, lower_right

TOKENS_A_FORWARD = 2048


@torch.inference_mode()
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
        prompts: token ids; rows may differ in length (they are padded on the left and masked).
        stop: ids that end a row; not part of what is returned.
        repetition_penalty: divides the logits of tokens the row has already generated (CTRL, arXiv 1909.05858).
        on_forward: called after every pass through the model; may raise to stop.
        on_replies: called after every step with what is returned, as far as it goes.

    Returns:
        The new token ids of each prompt, at most `max_new_tokens`.
    """
    ids, real = _pad_left(prompts, model.device)
    rows, width = ids.shape
    cache = BufferCache(model.config.num_hidden_layers, width + max_new_tokens)
    start = memory.next_position if memory else 0
    positions = start + (real.cumsum(-1) - 1).clamp(min=0)
    padded = not bool(real.all())
    greedy = Greedy(rows, stop, repetition_penalty)
    columns = max(1, TOKENS_A_FORWARD // rows)
    for _ in range(max_new_tokens):
        for first in range(0, ids.shape[1], columns):
            new = ids[:, first : first + columns]
            logits = model(
                input_ids=new,
                attention_mask=_mask(real, new.shape[1], cache.get_seq_length(), padded),
                position_ids=positions[:, first : first + columns],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
                memory=memory,
            ).logits[:, -1]
            raise_if_cancelled()
            on_forward()
        chosen = greedy.take(logits)
        if chosen is None:
            break
        on_replies(greedy.replies)
        ids = chosen
        positions = positions[:, -1:] + 1
        real = torch.cat([real, real.new_ones(rows, 1)], dim=-1)
    return greedy.replies


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


def _pad_left(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and which of them are real, both (rows, longest)."""
    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    real = torch.zeros(len(prompts), width, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        real[row, width - len(prompt) :] = True
    return ids.to(device), real.to(device)


def _mask(real: torch.Tensor, new: int, past: int, padded: bool) -> torch.Tensor | None:
    """Boolean (rows, 1, new, past + new): earlier real tokens, and always oneself (a padded row must not be empty)."""
    if not padded:
        return None if new == 1 else lower_right(real.device)
    end = past + new
    at = torch.arange(past, end, device=real.device)[:, None]
    columns = torch.arange(end, device=real.device)
    return ((columns <= at) & real[:, None, None, :end]) | (columns == at)


def _penalize(logits: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    if penalty == 1.0:
        return logits
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)
