"""All that is to be shown on a CUDA machine, in one run that needs nothing but the repository.

Run: python -m benchmarks.cuda
Elsewhere, to see that it runs: python -m benchmarks.cuda --device cpu --shape tiny

Prints parity in float32 (against this machine's CPU, and against the original's outputs where their folder is given),
what the kernels reach, reading with its bar, decoding at batch 1 and 16 with the fraction of the memory bandwidth
(bytes of weights and memory, each read once a step), loading with its bar, and the longest context with the most GPU
memory held. Exit status 1 where parity fails or a bar is missed. Against the original: benchmarks.against_original.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import parity
from benchmarks.memory import kept, steady
from benchmarks.shapes import SHAPES, build, checkpoint, seconds, tokens
from memorag_core.models.beacon.model import BeaconModel, BeaconState
from memorag_core.models.beacon.prefix import BeaconPrefix
from memorag_core.models.beacon.reading import BeaconReading, read
from memorag_core.models.lm.decoding import decode
from memorag_core.models.lm.kernels import attend_causally, attend_fully

READ_BAR_SECONDS = 12.0
LOAD_BAR_SECONDS = 1.0
FIXTURES = Path(__file__).resolve().parents[1] / "shared" / "parity"


@dataclass(frozen=True)
class Lengths:
    """Tokens read at ratio 4 and at ratio 16."""

    usual: int
    longest: int


LENGTHS = {"qwen2-7b": Lengths(200_000, 1_000_000), "smollm2-135m": Lengths(8_192, 16_384)}
SHORT = Lengths(20_000, 50_000)


def same_as_cpu(device: str) -> bool:
    """Whether a small model in float32 computes here what it computes on the CPU, row by row and as a batch."""
    context, prompts = tokens(900, "tiny"), [tokens(count, "tiny", count) for count in (7, 30, 90)]
    largest, replies = 0.0, []
    with tempfile.TemporaryDirectory() as name:
        for window, ratio in ((128, 4), (256, 16)):
            folder = checkpoint(Path(name), "tiny", window, ratio)
            models = [parity.loaded(folder, place) for place in ("cpu", device)]
            logits = [BeaconReading(model, len(context)).feed(context).cpu() for model in models]
            largest = max(largest, float((logits[0] - logits[1]).abs().max()))
            states = [read(model, context) for model in models]
            pairs = zip(models, states, strict=True)
            replies.append([decode(BeaconPrefix(model, state), prompts, 24) for model, state in pairs])
    agrees = largest <= parity.TOLERANCE and all(here == there for here, there in replies)
    print(f"float32 against this CPU: largest difference {largest:.1e}, replies {'same' if agrees else 'OTHER'}")
    return agrees


def kernels(shape: str, device: str) -> None:
    """What attention over a memory and within a window reaches, and plain matrix products beside it."""
    sizes, dtype = SHAPES[shape], torch.bfloat16 if device.startswith("cuda") else torch.float32
    width, new, keys = sizes.hidden // sizes.heads, 2560, 32768 if device.startswith("cuda") else 4096
    query = torch.randn(1, sizes.heads, new, width, device=device, dtype=dtype)
    key, value = torch.randn(2, 1, sizes.kv_heads, keys, width, device=device, dtype=dtype)
    rows = torch.randn(new, sizes.hidden, device=device, dtype=dtype)
    weight = torch.randn(sizes.hidden, sizes.inner, device=device, dtype=dtype)
    scale = width**-0.5
    flops = 4 * sizes.heads * width * new
    works: list[tuple[str, float, Callable[[], object]]] = [
        ("over a memory", flops * keys, lambda: attend_fully(query, key, value, scale)),
        ("in a window", flops * new / 2, lambda: attend_causally(query, key[:, :, :new], value[:, :, :new], scale)),
        ("matrix product", 2 * new * weight.numel(), lambda: rows @ weight),
    ]
    with torch.inference_mode():
        speeds = [f"{name} {work / fastest(call) / 1e12:.3g}" for name, work, call in works]
    print(f"TFLOP/s of the kernels: {', '.join(speeds)}")


def fastest(call: Callable[[], object]) -> float:
    """Seconds, the least of some."""
    call()
    return min(seconds(call) for _ in range(8))


def bandwidth(device: str) -> float:
    """Bytes a second, from summing a large tensor."""
    block = torch.ones(1 << 28 if device.startswith("cuda") else 1 << 26, device=device)
    return block.nbytes / fastest(block.sum)


def reading(model: BeaconModel, shape: str, length: int) -> tuple[BeaconState, float]:
    """The state after reading, and the seconds it took."""
    ids = tokens(length, shape)
    read(model, ids[: 3 * model.layout.window])
    states: list[BeaconState] = []
    taken = seconds(lambda: states.append(read(model, ids)))
    print(f"read {length} tokens at ratio {model.layout.ratio}: {taken:.2f} s, {length / taken:.0f} tokens/s", end="")
    print(f", memory {states[0].key_values.nbytes / (1 << 30):.2f} GiB", flush=True)
    return states[0], taken


def decoding(model: BeaconModel, shape: str, state: BeaconState, rate: float) -> None:
    """Tokens a second at batch 1 and 16, and the fraction of the bandwidth."""
    moved = state.key_values.nbytes + sum(part.nbytes for part in model.model.parameters())
    for rows in (1, 16):
        prompts = [tokens(40, shape, seed) for seed in range(rows)]

        def asked(new: int, prompts: list[list[int]] = prompts) -> float:
            return seconds(lambda: decode(BeaconPrefix(model, state), prompts, new))

        asked(2)
        speed = steady(asked)
        print(f"decode at batch {rows}: {speed * rows:.1f} tokens/s, {speed * moved / rate:.0%} of the bandwidth")


def verdict(name: str, taken: float, bar: float) -> bool:
    """Print it and say whether the bar is met."""
    print(f"{name}: {taken:.2f} s, bar {bar:g} s: {'met' if taken <= bar else 'MISSED'}", flush=True)
    return taken <= bar


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shape", choices=SHAPES, default="qwen2-7b")
    parser.add_argument("--parity", type=Path, nargs="*", default=[FIXTURES] if FIXTURES.is_dir() else [])
    chosen = parser.parse_args()
    device, lengths = chosen.device, LENGTHS.get(chosen.shape, SHORT)
    if device.startswith("cuda"):
        print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {chosen.shape}, window 2048")
    met = same_as_cpu(device)
    for folder in chosen.parity:
        met &= parity.main([str(folder), "--device", device]) == 0
    kernels(chosen.shape, device)
    rate = bandwidth(device)
    print(f"reads {rate / 1e9:.0f} GB/s")
    model = build(chosen.shape, 2048, 4, device)
    state, taken = reading(model, chosen.shape, lengths.usual)
    met &= verdict("reading", taken, READ_BAR_SECONDS)
    decoding(model, chosen.shape, state, rate)
    met &= verdict("loading", kept(model, state).load_seconds, LOAD_BAR_SECONDS)
    del model, state
    reading(build(chosen.shape, 2048, 16, device), chosen.shape, lengths.longest)
    if device.startswith("cuda"):
        print(f"most GPU memory held: {torch.cuda.max_memory_allocated() / (1 << 30):.1f} GiB")
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
