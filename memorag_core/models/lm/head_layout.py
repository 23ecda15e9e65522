"""Which attention heads a model has, by its configuration: `config` of transformers, or what is kept of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memorag_core.config import Head
from memorag_core.errors import InputError


def head_width(config: Any) -> int:
    """The dimension of an attention head, of a configuration that need not name it."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def group_of(config: Any, head: Head) -> Head:
    """The (layer, key-value head) pair that a head reads."""
    layer, number = head
    return layer, number * config.num_key_value_heads // config.num_attention_heads


def check_heads(config: Any, heads: Sequence[Head], model_id: str) -> None:
    """Raise `InputError` where a model lacks one of the (layer, head) pairs."""
    for layer, head in heads:
        if layer >= config.num_hidden_layers or head >= config.num_attention_heads:
            raise InputError(
                f"{model_id} has no head {layer}:{head}; its layers are 0 to {config.num_hidden_layers - 1}, "
                f"the heads of each 0 to {config.num_attention_heads - 1}. Choose among these with --heads."
            )
