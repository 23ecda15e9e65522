"""What attention heads look for and at: keys and queries of single ones, and the attention of all on a memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache

from memorag_core.config import Head
from memorag_core.models.lm.attention import BufferCache, KeyValues, lower_right
from memorag_core.models.lm.language_model import LanguageModel

PADDING = 0


@contextmanager
def truncate_layers(model: PreTrainedModel, layers: int) -> Iterator[Any]:
    """The model's body with its first layers only; whole again afterwards."""
    body: Any = model.base_model
    whole = body.layers
    body.layers = whole[:layers]
    try:
        yield body
    finally:
        body.layers = whole


@torch.inference_mode()
def head_keys(lm: LanguageModel, ids: Sequence[Sequence[int]], groups: Sequence[Head]) -> list[torch.Tensor]:
    """The keys of texts, each read on its own behind the beginning of a user's turn.

    Args:
        ids: token ids of each text, any number each.
        groups: (layer, key-value head) pairs.

    Returns:
        For each text its keys (tokens, groups, head dimension), in the model's dtype.
    """
    device = lm.model.device
    longest = max(1, *map(len, ids))
    padded = torch.tensor([[*row, *[PADDING] * (longest - len(row))] for row in ids], device=device)
    cache: Any = DynamicCache()
    with truncate_layers(lm.model, 1 + max(layer for layer, _ in groups)) as body:
        beginning = _read_beginning(lm, body)
        start = beginning.next_position if beginning else 0
        body(
            input_ids=padded,
            attention_mask=lower_right(device),
            position_ids=torch.arange(start, start + longest, device=device)[None],
            past_key_values=cache,
            use_cache=True,
            memory=beginning,
        )
    kept = torch.stack([cache.layers[layer].keys[:, group] for layer, group in groups], dim=2)
    return [row[: len(own)] for row, own in zip(kept, ids, strict=True)]


def _read_beginning(lm: LanguageModel, body: Any) -> KeyValues | None:
    """The state of the beginning of a user's turn, read once for all texts; None where there is nothing in it."""
    [head] = lm.encode([lm.chat_head])
    if not head:
        return None
    cache = BufferCache(len(body.layers), len(head))
    body(input_ids=torch.tensor([head], device=lm.model.device), past_key_values=cache, use_cache=True)
    return cache.view(len(head))


@torch.inference_mode()
def head_queries(lm: LanguageModel, text: str, heads: Sequence[Head], position: int) -> torch.Tensor:
    """The queries of a text that begins at `position`, scaled as attention scales them.

    Returns:
        (heads, tokens, head dimension), float32; the beginning of the user's turn is left out.
    """
    head, ids = lm.encode([lm.chat_head, text])
    places = torch.arange(position - len(head), position + len(ids), device=lm.model.device)[None]
    seen: list[torch.Tensor] = []
    with truncate_layers(lm.model, 1 + max(layer for layer, _ in heads)) as body:
        body(
            input_ids=torch.tensor([[*head, *ids]], device=lm.model.device),
            position_ids=places,
            use_cache=False,
            queries=seen,
        )
    scale = seen[0].shape[-1] ** -0.5
    own = torch.stack([seen[layer][0, number, len(head) :] for layer, number in heads])
    scaled: torch.Tensor = own.float() * scale
    return scaled


@torch.inference_mode()
def memory_attention(lm: LanguageModel, text: str, memory: KeyValues, entries: Sequence[int]) -> torch.Tensor:
    """How much a text that follows a memory attends to some entries of it, the others being as not there.

    Returns:
        (entries), float32: the mean over all heads and the text's tokens; 1 where entries are attended to alike.
    """
    [ids] = lm.encode([text])
    device, start = lm.model.device, memory.next_position
    seen: list[torch.Tensor] = []
    body: Any = lm.model.base_model
    body(
        input_ids=torch.tensor([ids], device=device),
        attention_mask=lower_right(device),
        position_ids=torch.arange(start, start + len(ids), device=device)[None],
        use_cache=False,
        memory=memory,
        queries=seen,
    )
    at = torch.tensor(entries, dtype=torch.long, device=device)
    layers = zip(seen, memory.keys, strict=True)
    shares = torch.stack([_share(rows[0], keys[0][:, at]) for rows, keys in layers])
    weights: torch.Tensor = shares.mean(0) * len(entries)
    return weights


def _share(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """The mean share that queries (heads, tokens, width) give each of the keys (key-value heads, entries, width)."""
    wide = keys.repeat_interleave(len(queries) // len(keys), 0).float()
    logits = queries.float() @ wide.transpose(1, 2) * queries.shape[-1] ** -0.5
    mean: torch.Tensor = logits.softmax(-1).mean((0, 1))
    return mean
