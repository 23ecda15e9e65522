"""What a beacon memory costs, at a model's shape with random weights: reading, asking, keeping and loading.

Run: python -m benchmarks.beacon [--shape tiny|smollm2-135m|qwen2-7b] [--tokens N …] [--ratio R] [--device cuda]
On a CUDA machine: python -m benchmarks.beacon --shape qwen2-7b --device cuda --tokens 8192 32768 200000
and then: python -m benchmarks.beacon --shape qwen2-7b --device cuda --ratio 16 --tokens 1000000

Needs nothing but this repository: no weights, no tokenizer, no network. Prints one row for each length. The fraction
of the memory bandwidth that decoding reaches counts the bytes of the weights and of the memory, each read once a step.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedConfig, Qwen2Config

from memorag_core.memory import Memory
from memorag_core.memory.beacon import BeaconMemory
from memorag_core.models.attention import register
from memorag_core.models.beacon import EMBEDDING, BeaconModel, BeaconState, Layout
from memorag_core.models.continuation import decode_after, read
from memorag_core.models.decoding import Greedy

SHAPES: dict[str, PreTrainedConfig] = {
    "tiny": LlamaConfig(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    ),
    "smollm2-135m": LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    ),
    "qwen2-7b": Qwen2Config(
        vocab_size=152064,
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
    ),
}
STEPS = 32
QUESTION = list(range(5, 45))


@dataclass(frozen=True)
class Machine:
    """Where it runs, and how fast it can read its memory."""

    device: str
    bytes_a_second: float

    def wait(self) -> None:
        """Until all that was started is done."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()


def machine(device: str) -> Machine:
    """Measure the bandwidth by summing a large tensor."""
    found = Machine(device, 0.0)
    block = torch.ones(1 << 28 if device.startswith("cuda") else 1 << 26, device=device)
    seconds = min(timed(found, block.sum) for _ in range(5))
    return Machine(device, block.nbytes / seconds)


def timed(where: Machine, work: Any) -> float:
    """Seconds that `work()` takes."""
    where.wait()
    started = time.perf_counter()
    work()
    where.wait()
    return time.perf_counter() - started


def build(shape: str, device: str, layout: Layout) -> BeaconModel:
    """The model with random weights, its beacon projections copies of the ordinary ones, as before training."""
    config = SHAPES[shape]
    config.beacon_param = ["q", "k", "v"]
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=register()).eval()
    weights = {
        name.replace("self_attn.", "self_attn.beacon_"): tensor.detach()
        for name, tensor in model.state_dict().items()
        if any(f"self_attn.{letter}_proj" in name for letter in "qkv")
    }
    weights[EMBEDDING] = model.get_input_embeddings().weight[:1].detach()
    return BeaconModel(model, layout, weights)


def measure(model: BeaconModel, tokens: int, where: Machine) -> str:
    """One row: reading, decoding at batch 1 and 16, saving and loading, for a context of `tokens`."""
    ids = torch.randint(
        5, model.model.config.vocab_size, (tokens,), generator=torch.Generator().manual_seed(0)
    ).tolist()
    states: list[BeaconState] = []
    reading = timed(where, lambda: states.append(read(model, ids)))
    [state] = states
    speeds = []
    for batch in (1, 16):
        seconds = timed(where, lambda rows=batch: decode_after(model, [QUESTION] * rows, STEPS, state, Greedy(rows)))
        alone = timed(where, lambda rows=batch: decode_after(model, [QUESTION] * rows, 1, state, Greedy(rows)))
        speeds.append(batch * (STEPS - 1) / (seconds - alone))
    held = state.key_values.nbytes
    read_a_step = held + sum(p.nbytes for p in model.model.parameters())
    fraction = speeds[0] * read_a_step / where.bytes_a_second
    loading, stored = keep(model, state, where)
    return (
        f"{tokens:>9} {tokens / reading:>10.0f} {reading:>8.2f} {speeds[0]:>9.1f} {fraction:>6.0%} {speeds[1]:>9.1f} "
        f"{held / tokens:>9.0f} {stored / tokens:>9.0f} {loading:>8.3f} {reading / loading:>8.0f}"
    )


def keep(model: BeaconModel, state: BeaconState, where: Machine) -> tuple[float, int]:
    """Seconds to load the memory from disk, and its bytes there."""
    memory = BeaconMemory(cast(Any, SimpleNamespace(model=model.model)), model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        memory.save(Memory(state.key_values, {"read": state.read}), folder)
        stored = sum(path.stat().st_size for path in folder.iterdir())
        return timed(where, lambda: memory.load(folder)), stored


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="tiny")
    parser.add_argument("--tokens", type=int, nargs="+", default=[4096, 16384])
    parser.add_argument("--window", type=int, default=2048)
    parser.add_argument("--ratio", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    where = machine(chosen.device)
    model = build(chosen.shape, chosen.device, Layout(chosen.window, chosen.ratio, 0))
    read(model, list(range(5, 5 + 2 * chosen.window % 400)))
    print(
        f"{chosen.shape}, window {chosen.window}, ratio {chosen.ratio}, {model.model.dtype}, {chosen.device}, ", end=""
    )
    print(f"reads {where.bytes_a_second / 1e9:.0f} GB/s")
    print("   tokens   read t/s  seconds  dec1 t/s   bw%  dec16 t/s  B/t held  B/t disk     load  read/load")
    for tokens in chosen.tokens:
        print(measure(model, tokens, where), flush=True)
    if where.device.startswith("cuda"):
        print(f"most GPU memory held: {torch.cuda.max_memory_allocated() / (1 << 30):.1f} GiB")


if __name__ == "__main__":
    main()
