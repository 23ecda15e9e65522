"""The loss of a Llama with beacons in one pass: all tokens and beacons side by side, and a mask of who sees whom.

No windows, no memory, no cache: what a window's entries see is said by the mask, and because keys turn with the
window that looks at them, each window's scores are computed from unrotated keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from beacon_checkpoints import Tensors, norm, project, rotated


@dataclass(frozen=True)
class Entry:
    """A token, or a beacon (None); `window` is the one it is in, `kept` whether it stays when that is folded."""

    token: int | None
    window: int
    kept: bool


def entries_of(ids: Sequence[int], window: int, ratios: Sequence[int], sink: int) -> list[Entry]:
    found: list[Entry] = []
    for at, token in enumerate(ids):
        number = at // window
        found.append(Entry(token, number, len(found) < sink))
        if (at + 1) % ratios[number] == 0:
            found.append(Entry(None, number, True))
    return found


def loss(config: Any, weights: Tensors, ids: Sequence[int], counted: int, ratios: Sequence[int]) -> torch.Tensor:
    """The summed loss of the tokens from `counted` on."""
    entries = entries_of(ids, config.beacon_window, ratios, config.beacon_sink_size)
    embedding = weights["model.embed_tokens.weight"]
    hidden = torch.stack(
        [weights["model.beacon_embed_tokens.weight"][0] if e.token is None else embedding[e.token] for e in entries]
    )
    for layer in range(config.num_hidden_layers):
        hidden = _layer(config, weights, f"model.layers.{layer}.", entries, hidden)
    tokens = [at for at, entry in enumerate(entries) if entry.token is not None]
    logits = torch.stack([norm(config, hidden[at], weights["model.norm.weight"]) for at in tokens])
    logits = logits @ weights["lm_head.weight"].T
    return torch.nn.functional.cross_entropy(logits[counted - 1 : -1], torch.tensor(ids[counted:]), reduction="sum")


def _layer(config: Any, weights: Tensors, prefix: str, entries: Sequence[Entry], hidden: torch.Tensor) -> torch.Tensor:
    normed = [norm(config, one, weights[prefix + "input_layernorm.weight"]) for one in hidden]
    kinds = ["beacon_" if entry.token is None else "" for entry in entries]
    queries, keys, values = (
        torch.stack([project(weights, prefix, f"{x}_proj", k, n) for n, k in zip(normed, kinds, strict=True)])
        for x in "qkv"
    )
    queries, keys, values = (part.view(len(entries), -1, 8) for part in (queries, keys, values))
    mixed = []
    for at, entry in enumerate(entries):
        seen = [s for s in range(at + 1) if entries[s].window == entry.window or entries[s].kept]
        turned = rotated(keys[seen], torch.arange(len(seen))).repeat_interleave(2, 1)
        query = rotated(queries[at : at + 1], torch.tensor([len(seen) - 1]))[0]
        scores = torch.einsum("hd,nhd->hn", query, turned) / 8**0.5
        mixed.append(torch.einsum("hn,nhd->hd", scores.softmax(-1), values[seen].repeat_interleave(2, 1)).flatten())
    out = []
    for one, kind, attended in zip(hidden, kinds, mixed, strict=True):
        residual = one + project(weights, prefix, "o_proj", kind, attended)
        inner = norm(config, residual, weights[prefix + "post_attention_layernorm.weight"])
        gate, up, down = (weights[f"{prefix}mlp.{name}_proj.weight"] for name in ("gate", "up", "down"))
        out.append(residual + down @ (torch.nn.functional.silu(gate @ inner) * (up @ inner)))
    return torch.stack(out)
