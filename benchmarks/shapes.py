"""Models of known shapes with random weights, written in the published layout of beacon memory models, and clocks."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, Qwen2Config

from memorag_core.models.beacon.layout import BeaconLayout
from memorag_core.models.beacon.model import EMBEDDING, WEIGHTS, BeaconModel
from memorag_core.models.lm.attention import register
from memorag_core.models.lm.fp16_linear import pack
from memorag_core.models.lm.norms import fuse_norms

PROJECTIONS = {"q_proj", "k_proj", "v_proj"}

COMMON = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "torch_dtype": "float32",
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "initializer_range": 0.02,
    "max_position_embeddings": 32768,
    "use_sliding_window": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
BEACONS = {
    "beacon_pos": "interleave",
    "beacon_attn": "full-coverage",
    "beacon_attend_prev": True,
    "beacon_parallel_window": 1,
    "beacon_sink_size": 0,
    "beacon_param": ["q", "k", "v"],
}


@dataclass(frozen=True)
class Shape:
    """What decides how much work a token is. All are Qwen2: the one architecture that the original has as well."""

    vocabulary: int
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    tied: bool = True

    def config(self, window: int, ratio: int) -> dict[str, Any]:
        """The contents of config.json, readable by transformers 4 and 5."""
        return {
            **COMMON,
            **BEACONS,
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "tie_word_embeddings": self.tied,
            "beacon_window": window,
            "beacon_stride": window,
            "beacon_ratio": [ratio],
        }


SHAPES = {
    "tiny": Shape(512, 64, 128, 2, 4, 2),
    "small": Shape(2048, 128, 384, 4, 4, 2),
    "smollm2-135m": Shape(49152, 576, 1536, 30, 9, 3),
    "qwen2-7b": Shape(152064, 3584, 18944, 28, 28, 4, tied=False),
}


def plain(shape: str, window: int, ratio: int, device: str = "cpu") -> Any:
    """The model with random weights: bfloat16 on CUDA, elsewhere such numbers in float32, as a published model has."""
    torch.manual_seed(0)
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    config = Qwen2Config(**SHAPES[shape].config(window, ratio))
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=register()).eval()
    for weight in model.parameters():
        weight.data = weight.data.bfloat16().to(dtype)
    return model


def beacon_weights(model: Any) -> dict[str, torch.Tensor]:
    """Random weights for its beacons."""
    ordinary = {name: tensor for name, tensor in model.state_dict().items() if name.split(".")[-2] in PROJECTIONS}
    named = {name.replace("self_attn.", "self_attn.beacon_"): tensor for name, tensor in ordinary.items()}
    named[EMBEDDING] = model.get_input_embeddings().weight[:1].detach()
    return {name: (torch.randn_like(tensor) / 50).bfloat16().to(tensor.dtype) for name, tensor in named.items()}


def build(shape: str, window: int, ratio: int, device: str = "cpu") -> BeaconModel:
    """A beacon model that never touches the disk, as one that was loaded would be."""
    model = plain(shape, window, ratio, device)
    weights = beacon_weights(model)
    pack(model)
    fuse_norms(model)
    return BeaconModel(model, BeaconLayout(window, ratio, 0), weights)


def checkpoint(folder: Path, shape: str, window: int, ratio: int) -> Path:
    """Write a random model into `folder`, in float32."""
    (folder / "config.json").write_text(json.dumps(SHAPES[shape].config(window, ratio)), encoding="utf-8")
    model = plain(shape, window, ratio)
    tensors = dict(model.state_dict())
    if SHAPES[shape].tied:
        del tensors["lm_head.weight"]
    save_file(tensors | beacon_weights(model), folder / WEIGHTS, {"format": "pt"})
    return folder


def tokens(count: int, shape: str, seed: int = 0) -> list[int]:
    """Random ids of a shape's vocabulary."""
    return random.Random(seed).choices(range(5, SHAPES[shape].vocabulary), k=count)


def seconds(work: Callable[[], Any]) -> float:
    """How long `work()` takes, on the GPU where there is one."""
    wait()
    started = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - started


def wait() -> None:
    """Until all that was started is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def interleaved(runs: int, works: Sequence[Callable[[], float]]) -> list[float]:
    """The median of what each of `works` returns, taken in turns, so that a busy machine is busy for all."""
    taken = [[work() for work in works] for _ in range(runs)]
    return [statistics.median(column) for column in zip(*taken, strict=True)]
