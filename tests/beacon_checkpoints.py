"""Tiny beacon checkpoints in the published layout, and what they should compute, entry by entry.

The reference keeps no cache of rotated keys, knows no windows of tensors and no batches: for every token and beacon
it rotates all keys anew. It is written from the description of the parity fixtures, and slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

Tensors = dict[str, torch.Tensor]


def write(folder: Path, tokenizer_of: Path | None = None, vocabulary: int = 60, **beacons: Any) -> Path:
    """A random Llama with beacon weights; `beacons` are configuration keys without their `beacon_`."""
    torch.manual_seed(7)
    named = {"window": 24, "stride": beacons.get("window", 24), "ratio": [4], "param": ["q", "k", "v"], "sink_size": 0}
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
        bos_token_id=1,
        eos_token_id=0,
        pad_token_id=0,
        **{f"beacon_{name}": value for name, value in (named | beacons).items()},
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    ordinary = [name for name in tensors if any(f".{letter}_proj." in name for letter in config.beacon_param)]
    beacon = {name.replace("self_attn.", "self_attn.beacon_"): torch.randn_like(tensors[name]) / 4 for name in ordinary}
    save_file(tensors | beacon | {"model.beacon_embed_tokens.weight": torch.randn(1, 32)}, folder / "model.safetensors")
    if tokenizer_of is not None:
        AutoTokenizer.from_pretrained(tokenizer_of).save_pretrained(folder)
    return folder


def reference(folder: Path, ids: Sequence[int]) -> torch.Tensor:
    """The logits after every token of `ids`, (tokens, vocabulary)."""
    config, weights = LlamaConfig.from_pretrained(folder), load_file(folder / "model.safetensors")
    [ratio] = config.beacon_ratio
    past: list[list[list[torch.Tensor]]] = [[[], []] for _ in range(config.num_hidden_layers)]
    logits, settled, beacons = [], 0, []
    for read, token in enumerate(ids, start=1):
        logits.append(_entry(config, weights, past, weights["model.embed_tokens.weight"][token], ""))
        if read % ratio == 0:
            beacons.append(len(past[0][0]))
            _entry(config, weights, past, weights["model.beacon_embed_tokens.weight"][0], "beacon_")
        if read % config.beacon_window == 0:
            sink = range(config.beacon_sink_size) if read == config.beacon_window else ()
            kept = [*range(settled), *sink, *beacons]
            past = [[[part[at] for at in kept] for part in layer] for layer in past]
            settled, beacons = len(kept), []
    return torch.stack(logits)


def _entry(
    config: LlamaConfig, weights: Tensors, past: list[list[list[torch.Tensor]]], hidden: torch.Tensor, kind: str
) -> torch.Tensor:
    """One token (`kind` is empty) or beacon through all layers; adds its unrotated keys and its values to `past`."""
    for number, (keys, values) in enumerate(past):
        prefix = f"model.layers.{number}."
        normed = norm(config, hidden, weights[prefix + "input_layernorm.weight"])
        query, key, value = (project(weights, prefix, f"{letter}_proj", kind, normed).view(-1, 8) for letter in "qkv")
        keys.append(key)
        values.append(value)
        turned = rotated(torch.stack(keys), torch.arange(len(keys)))
        at_end = rotated(query[None], torch.tensor([len(keys) - 1]))[0]
        scores = torch.einsum("hd,nhd->hn", at_end, turned.repeat_interleave(2, 1)) / 8**0.5
        mixed = torch.einsum("hn,nhd->hd", scores.softmax(-1), torch.stack(values).repeat_interleave(2, 1))
        hidden = hidden + project(weights, prefix, "o_proj", kind, mixed.flatten())
        normed = norm(config, hidden, weights[prefix + "post_attention_layernorm.weight"])
        gate, up, down = (weights[f"{prefix}mlp.{name}_proj.weight"] for name in ("gate", "up", "down"))
        hidden = hidden + down @ (torch.nn.functional.silu(gate @ normed) * (up @ normed))
    return weights["lm_head.weight"] @ norm(config, hidden, weights["model.norm.weight"])


def project(weights: Tensors, prefix: str, name: str, kind: str, hidden: torch.Tensor) -> torch.Tensor:
    ordinary = weights[f"{prefix}self_attn.{name}.weight"]
    return weights.get(f"{prefix}self_attn.{kind}{name}.weight", ordinary) @ hidden


def norm(config: LlamaConfig, hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return weight * hidden * torch.rsqrt(hidden.pow(2).mean() + config.rms_norm_eps)


def rotated(parts: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """(entries, heads, 8) turned by their positions, base 10,000."""
    angles = (at[:, None] / 10_000 ** (torch.arange(4) / 4))[:, None]
    left, right = parts[..., :4], parts[..., 4:]
    return torch.cat([left * angles.cos() - right * angles.sin(), right * angles.cos() + left * angles.sin()], -1)
