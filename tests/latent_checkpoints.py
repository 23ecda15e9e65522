"""Tiny checkpoints in the published LCLM layout: `encoder/`, `adapter/`, `decoder/`, and `model_config.json`.

Every weight is drawn by Python's own generator, so that a checkpoint is the same wherever it is written, and what the
original computed for it can be kept as numbers alone.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from conftest import CHAT_TEMPLATE
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, Qwen3Model

from memorag_core.config import PROFILES, Settings
from memorag_core.memory import LatentMemory
from memorag_core.models.weights import Weights

BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
MARKS = ["<|memory_start|>", "<|memory_end|>", "<|memory|>"]
TURNS = ["<|im_start|>", "<|im_end|>"]
ENCODER = {"hidden_size": 24, "intermediate_size": 40, "head_dim": 8, "max_position_embeddings": 2048}
DECODER = {"hidden_size": 32, "intermediate_size": 48, "head_dim": 8, "max_position_embeddings": 8192}


def write(folder: Path, ratio: int = 4, window: int = 32, seed: int = 5, **decoder: Any) -> Path:
    """Write a random Qwen3 encoder, adapter and decoder; `decoder` are keys of its configuration."""
    draw = random.Random(seed)
    ends = {"bos_token_id": None, "eos_token_id": len(MARKS) + 1, "pad_token_id": len(MARKS) + 1}
    _save(Qwen3Model(_config(1, ENCODER)), folder / "encoder", draw)
    tokenizer([TURNS[1]]).save_pretrained(folder / "encoder")
    _save(Qwen3ForCausalLM(_config(len(MARKS + TURNS), DECODER | ends | decoder)), folder / "decoder", draw)
    tokenizer([*MARKS, *TURNS]).save_pretrained(folder / "decoder")
    _write_adapter(folder / "adapter", draw)
    config = {
        "compression_ratio": ratio,
        "encoder_window_size": window,
        "pooling": "mean",
        "encoder_mask_type": "causal",
        "boundary_overlap": 0,
        "adapter_type": "mlp",
    }
    (folder / "model_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def load(folder: Path) -> LatentMemory:
    """The memory model of a checkpoint."""
    weights = Weights(Settings.of(device="cpu", models_dir=folder), lambda _: None)
    return LatentMemory.open(replace(PROFILES["full"], memory_model=str(folder)), weights)


def tokenizer(special: list[str]) -> PreTrainedTokenizerFast:
    """Special tokens first, then a token for each byte, so that the encoder's ids are others than the decoder's."""
    vocabulary = {token: number for number, token in enumerate([*special, *BYTES])}
    bytewise = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    end = special[-1]
    made = PreTrainedTokenizerFast(
        tokenizer_object=bytewise, eos_token=end, pad_token=end, additional_special_tokens=special
    )
    made.chat_template = CHAT_TEMPLATE
    return made


def _config(special: int, sizes: dict[str, Any]) -> Qwen3Config:
    heads = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    return Qwen3Config(**{"vocab_size": special + len(BYTES), "tie_word_embeddings": False, **heads, **sizes})


def _save(model: PreTrainedModel, folder: Path, draw: random.Random) -> None:
    for name, weight in sorted(model.named_parameters()):
        around = 1.0 if "norm" in name else 0.0
        weight.data = around + _random(draw, *weight.shape)
    model.save_pretrained(folder)


def _write_adapter(folder: Path, draw: random.Random) -> None:
    inner, outer = ENCODER["hidden_size"], DECODER["hidden_size"]
    folder.mkdir()
    tensors = {
        "norm.weight": 1 + _random(draw, inner),
        "fc1.weight": _random(draw, outer, inner),
        "fc1.bias": _random(draw, outer),
        "fc2.weight": _random(draw, outer, outer),
        "fc2.bias": _random(draw, outer),
    }
    save_file(tensors, folder / "adapter.safetensors")


def _random(draw: random.Random, *shape: int) -> torch.Tensor:
    numbers = [draw.uniform(-0.6, 0.6) for _ in range(torch.Size(shape).numel())]
    return torch.tensor(numbers).reshape(shape)
