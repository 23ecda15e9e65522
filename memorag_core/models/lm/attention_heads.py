"""What attention heads look for and at: keys and queries of single ones, and what they attend to in a memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache

from memorag_core.config import Head
from memorag_core.errors import InputError
from memorag_core.models.lm.attention import BufferCache, lower_right
from memorag_core.models.lm.key_values import KeyValues
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.types import PARAGRAPH_BREAK

PADDING = 0
NOTHING = "N/A"


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


def check_heads(lm: LanguageModel, heads: Sequence[Head]) -> None:
    """Raise `InputError` where a model lacks one of the (layer, head) pairs."""
    config = lm.model.config
    for layer, head in heads:
        if layer >= config.num_hidden_layers or head >= config.num_attention_heads:
            raise InputError(
                f"{lm.model_id} has no head {layer}:{head}; its layers are 0 to {config.num_hidden_layers - 1}, "
                f"the heads of each 0 to {config.num_attention_heads - 1}. Choose among these with --heads."
            )


@torch.inference_mode()
def compare_attention(
    lm: LanguageModel, text: str, memory: KeyValues, entries: Sequence[int], heads: Sequence[Head]
) -> torch.Tensor:
    """How much more attention a text that follows a memory pays to entries of it than a text about nothing does.

    Most attention goes to the same entries whatever is asked, and that is taken off (Chen et al., In-Context
    Re-ranking, arXiv 2410.02642). What is left is squared: heads that the text moves sharply are those that retrieve.

    Args:
        entries: those that count; the others are as not there.
        heads: (layer, head) pairs that count.

    Returns:
        (entries), float32: the mean over heads of the square of what is left, in equal shares of all attention.
    """
    at = torch.tensor(entries, dtype=torch.long, device=lm.model.device)
    asked, always = (_queries_behind(lm, one, memory, 1 + max(layer for layer, _ in heads)) for one in (text, NOTHING))
    raised = torch.zeros(len(entries), device=lm.model.device)
    for layer, numbers in _by_layer(heads).items():
        groups = lm.model.config.num_attention_heads // memory.keys[layer].shape[1]
        keys = memory.keys[layer][0][:, at].float()[[number // groups for number in numbers]].transpose(1, 2)
        more, less = ((seen[layer][numbers] @ keys).softmax(-1).mean(1) for seen in (asked, always))
        raised += ((more - less) * len(entries)).clamp(min=0).square().sum(0)
    weights: torch.Tensor = raised / len(heads)
    return weights


def _queries_behind(lm: LanguageModel, text: str, memory: KeyValues, layers: int) -> list[torch.Tensor]:
    """The queries of a text that follows a memory, scaled, by layer: (heads, tokens, head dimension)."""
    [ids] = lm.encode([PARAGRAPH_BREAK + text])
    start, device = memory.next_position, lm.model.device
    seen: list[torch.Tensor] = []
    with truncate_layers(lm.model, layers) as body:
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
