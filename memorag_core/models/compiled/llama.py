"""The first layers of a Llama in numpy: what attention heads look for when they read a question.

A question is some tens of tokens, for which multiplying takes less time than importing torch. Weights stay mapped in
half precision and are widened block by block, which takes a fifth of the time of multiplying them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memorag_core.config import Head
from memorag_core.models.mapped import Tensors

Array = NDArray[np.float32]
"""States are (features, tokens)."""
EMBEDDINGS = "model.embed_tokens.weight"
ATTENTION, FORWARD = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj")
LAYER = (
    *(f"self_attn.{name}" for name in ATTENTION),
    *(f"mlp.{name}" for name in FORWARD),
    *("input_layernorm", "post_attention_layernorm"),
)
HALVES = (np.float16, np.uint16)
BLOCK = 1 << 19
"""Weights widened at a time: they fit into a core's cache."""
MOVED = 13
"""The bits by which the exponent of float32 begins further left than that of float16."""
KEPT = np.int32(-0x70000001)
RAISED = np.float32(2.0**112)


def widen(weights: NDArray[Any]) -> Array:
    """Float32 of float16, of the bits of bfloat16 (uint16), or as it is; finite ones only. Exact.

    numpy's own conversion of float16 takes seven times as long.
    """
    if weights.dtype == np.uint16:
        return (weights.astype(np.uint32) << 16).view(np.float32)
    if weights.dtype != np.float16:
        return weights
    bits = weights.view(np.int16).astype(np.int32)
    bits <<= MOVED
    bits &= KEPT  # without copies of the sign
    wide = bits.view(np.float32)
    wide *= RAISED  # between the biases of both exponents
    return wide


def multiply(weights: NDArray[Any], states: Array) -> Array:
    """Weights (out, in) by states (in, tokens)."""
    if weights.dtype not in HALVES:
        return np.asarray(weights @ states)
    out = np.empty((weights.shape[0], states.shape[1]), np.float32)
    rows = max(1, BLOCK // weights.shape[1])
    for start in range(0, len(out), rows):
        np.matmul(widen(weights[start : start + rows]), states, out=out[start : start + rows])
    return out


@dataclass(frozen=True, slots=True)
class ReadTokens:
    """What is kept of tokens: keys and values (heads, head dimension, tokens) of each layer, and queries wanted."""

    keys: list[Array] = field(default_factory=list)
    values: list[Array] = field(default_factory=list)
    queries: dict[Head, Array] = field(default_factory=dict)


class LlamaLayers:
    """The layers of a Llama, as far as its queries need them."""

    def __init__(self, tensors: Tensors, config: Any, frequencies: Sequence[float], beginning: Sequence[int]) -> None:
        """Take the weights as transformers names them, sizes, the rotary angle of each pair of features, and token ids.

        These stand before all others, and are read once for all.
        """
        self._tensors = tensors
        self._config = config
        self._frequencies = np.array(frequencies, np.float32)
        self._beginning = beginning
        self._begun: dict[Head, ReadTokens] = {}

    def queries(self, ids: Sequence[int], heads: Sequence[Head], start: int) -> Array:
        """The queries of tokens, the first at `start`, by (layer, head): (heads, tokens, head dimension), scaled."""
        last = max(layer for layer, _ in heads)
        before = self._begun.get((last, start), ReadTokens())
        if self._beginning and not before.keys:
            before = self._begun[last, start] = self._read(self._beginning, start - len(self._beginning), last, before)
        found = self._read(ids, start, last, before, heads).queries
        return np.stack([found[head] for head in heads]) * np.float32(self._config.head_dim**-0.5)

    def _read(
        self, ids: Sequence[int], start: int, last: int, before: ReadTokens, heads: Sequence[Head] = ()
    ) -> ReadTokens:
        """Read tokens behind others, as far as the queries of the last layer."""
        states = np.ascontiguousarray(widen(self._tensors[EMBEDDINGS][list(ids)]).T)
        angles = np.outer(self._frequencies, np.arange(start, start + len(ids), dtype=np.float32))
        turns = np.cos(angles), np.sin(angles)
        read = ReadTokens()
        for layer in range(last + 1):
            normed = self._norm(layer, "input_layernorm", states)
            queries = _turn(self._split(layer, "q_proj", normed), turns)
            read.queries.update({head: queries[head[1]].T for head in heads if head[0] == layer})
            if layer == last:
                break
            read.keys.append(_turn(self._split(layer, "k_proj", normed), turns))
            read.values.append(self._split(layer, "v_proj", normed))
            keys = np.concatenate([*before.keys[layer : layer + 1], read.keys[layer]], 2)
            values = np.concatenate([*before.values[layer : layer + 1], read.values[layer]], 2)
            states += self._multiply(layer, "self_attn.o_proj", _attend(queries, keys, values))
            normed = self._norm(layer, "post_attention_layernorm", states)
            gates, ups = (self._multiply(layer, f"mlp.{name}_proj", normed) for name in ("gate", "up"))
            states += self._multiply(layer, "mlp.down_proj", _silu(gates) * ups)
        return read

    def _multiply(self, layer: int, name: str, states: Array) -> Array:
        return multiply(self._tensors[name_of(layer, name)], states)

    def _split(self, layer: int, name: str, states: Array) -> Array:
        """What a projection gives, by heads: (heads, head dimension, tokens)."""
        return self._multiply(layer, f"self_attn.{name}", states).reshape(-1, self._config.head_dim, states.shape[1])

    def _norm(self, layer: int, name: str, states: Array) -> Array:
        size = np.sqrt(np.square(states).mean(0) + np.float32(self._config.rms_norm_eps))
        return np.asarray(widen(self._tensors[name_of(layer, name)])[:, None] * (states / size))


def name_of(layer: int, name: str) -> str:
    """What transformers calls the weights of a module of a layer."""
    return f"model.layers.{layer}.{name}.weight"


def _turn(rows: Array, turns: tuple[Array, Array]) -> Array:
    """Rotate queries or keys (heads, head dimension, tokens) to their positions."""
    cos, sin = turns
    one, other = np.split(rows, 2, axis=1)
    return np.concatenate([one * cos - other * sin, other * cos + one * sin], axis=1)


def _attend(queries: Array, keys: Array, values: Array) -> Array:
    """Causal attention of the last tokens to all, each key-value head serving several heads: (features, tokens)."""
    groups, width, seen = keys.shape
    tokens = queries.shape[2]
    shared = queries.reshape(groups, -1, width, tokens).swapaxes(2, 3) * np.float32(width**-0.5)
    logits = shared @ keys[:, None]
    logits[..., np.triu(np.ones((tokens, seen), np.bool_), 1 + seen - tokens)] = -np.inf
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    return np.asarray(values[:, None] @ shares.swapaxes(2, 3)).reshape(-1, tokens)


def _silu(states: Array) -> Array:
    with np.errstate(over="ignore"):  # of what is far below zero, nothing is left
        return np.asarray(states / (1 + np.exp(-states)))
