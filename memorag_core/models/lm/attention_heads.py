"""What attention heads look for and at: keys and queries of single ones, and what they attend to in a memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache

from memorag_core.config import Head
from memorag_core.models.lm.attention import BufferCache, lower_right
from memorag_core.models.lm.key_values import KeyValues

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
def head_keys(
    model: PreTrainedModel, beginning: Sequence[int], ids: Sequence[Sequence[int]], groups: Sequence[Head]
) -> list[torch.Tensor]:
    """The keys of texts, each read on its own behind the beginning of a user's turn.

    Args:
        beginning: token ids of that, if any.
        ids: token ids of each text, any number each.
        groups: (layer, key-value head) pairs.

    Returns:
        For each text its keys (tokens, groups, head dimension), in the model's dtype.
    """
    device = model.device
    longest = max(1, *map(len, ids))
    padded = torch.tensor([[*row, *[PADDING] * (longest - len(row))] for row in ids], device=device)
    cache: Any = DynamicCache()
    with truncate_layers(model, 1 + max(layer for layer, _ in groups)) as body:
        begun = _read_beginning(body, beginning)
        start = begun.next_position if begun else 0
        body(
            input_ids=padded,
            attention_mask=lower_right(device),
            position_ids=torch.arange(start, start + longest, device=device)[None],
            past_key_values=cache,
            use_cache=True,
            memory=begun,
        )
    kept = torch.stack([cache.layers[layer].keys[:, group] for layer, group in groups], dim=2)
    return [row[: len(own)] for row, own in zip(kept, ids, strict=True)]


def _read_beginning(body: Any, ids: Sequence[int]) -> KeyValues | None:
    """The state of the beginning of a user's turn, read once for all texts; None where there is nothing in it."""
    if not ids:
        return None
    cache = BufferCache(len(body.layers), len(ids))
    body(input_ids=torch.tensor([ids], device=body.device), past_key_values=cache, use_cache=True)
    return cache.view(len(ids))


@torch.inference_mode()
def head_queries(
    model: PreTrainedModel, beginning: Sequence[int], ids: Sequence[int], heads: Sequence[Head], position: int
) -> torch.Tensor:
    """The queries of a text that begins at `position`, scaled as attention scales them.

    Args:
        beginning: token ids of the beginning of the user's turn, which stands before it.
        ids: those of the text.

    Returns:
        (heads, tokens, head dimension), float32; the beginning of the user's turn is left out.
    """
    places = torch.arange(position - len(beginning), position + len(ids), device=model.device)[None]
    seen: list[torch.Tensor] = []
    with truncate_layers(model, 1 + max(layer for layer, _ in heads)) as body:
        body(
            input_ids=torch.tensor([[*beginning, *ids]], device=model.device),
            position_ids=places,
            use_cache=False,
            queries=seen,
        )
    scale = seen[0].shape[-1] ** -0.5
    own = torch.stack([seen[layer][0, number, len(beginning) :] for layer, number in heads])
    scaled: torch.Tensor = own.float() * scale
    return scaled


@torch.inference_mode()
def compare_attention(
    model: PreTrainedModel,
    asked: Sequence[int],
    nothing: Sequence[int],
    memory: KeyValues,
    entries: Sequence[int],
    heads: Sequence[Head],
) -> torch.Tensor:
    """How much more attention a text that follows a memory pays to entries of it than a text about nothing does.

    Most attention goes to the same entries whatever is asked, and that is taken off (Chen et al., In-Context
    Re-ranking, arXiv 2410.02642). What is left is squared: heads that the text moves sharply are those that retrieve.

    Args:
        asked, nothing: token ids of the two texts.
        entries: those that count; the others are as not there.
        heads: (layer, head) pairs that count.

    Returns:
        (entries), float32: the mean over heads of the square of what is left, in equal shares of all attention.
    """
    at = torch.tensor(entries, dtype=torch.long, device=model.device)
    layers = 1 + max(layer for layer, _ in heads)
    now, always = (_queries_behind(model, ids, memory, layers) for ids in (asked, nothing))
    raised = torch.zeros(len(entries), device=model.device)
    for layer, numbers in _by_layer(heads).items():
        groups = model.config.num_attention_heads // memory.keys[layer].shape[1]
        keys = memory.keys[layer][0][:, at].float()[[number // groups for number in numbers]].transpose(1, 2)
        more, less = ((seen[layer][numbers] @ keys).softmax(-1).mean(1) for seen in (now, always))
        raised += ((more - less) * len(entries)).clamp(min=0).square().sum(0)
    weights: torch.Tensor = raised / len(heads)
    return weights


def _queries_behind(model: PreTrainedModel, ids: Sequence[int], memory: KeyValues, layers: int) -> list[torch.Tensor]:
    """The queries of a text that follows a memory, scaled, by layer: (heads, tokens, head dimension)."""
    start, device = memory.next_position, model.device
    seen: list[torch.Tensor] = []
    with truncate_layers(model, layers) as body:
        body(
            input_ids=torch.tensor([ids], device=device),
            attention_mask=lower_right(device),
            position_ids=torch.arange(start, start + len(ids), device=device)[None],
            use_cache=False,
            memory=memory,
            queries=seen,
        )
    return [rows[0].float() * rows.shape[-1] ** -0.5 for rows in seen]


def _by_layer(heads: Sequence[Head]) -> dict[int, list[int]]:
    layers: dict[int, list[int]] = {}
    for layer, number in heads:
        layers.setdefault(layer, []).append(number)
    return layers
