"""Reading, decoding and loading beacon memories at a model's shape, beside what the hardware allows."""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.cuda.kernels import Rates
from benchmarks.cuda.report import Report
from benchmarks.memory import STEPS, memory_model, steady
from benchmarks.shapes import SHAPES, build, seconds, tokens, wait
from memorag_core.memory import Memory
from memorag_core.models.beacon.model import BeaconModel, BeaconState
from memorag_core.models.beacon.prefix import BeaconPrefix
from memorag_core.models.beacon.reading import read
from memorag_core.models.lm.decode_batch import DecodeRow
from memorag_core.models.lm.scheduler import DecodeScheduler

WINDOW = 2048
READ_BARS = {4: 9.0, 16: 45.0}
LOAD_BAR = 1.0
PLANNED = 24
"""Windows read before the clock starts: kernels are planned for memories of so many, which is done once a process."""
DECODE_BARS = {1: 115.0, 16: 1500.0}
GIB = 1 << 30


@dataclass(frozen=True)
class Lengths:
    """Tokens read at ratio 4 and at ratio 16."""

    usual: int
    longest: int


LENGTHS = {"qwen2-7b": Lengths(200_000, 1_000_000), "smollm2-135m": Lengths(8_192, 16_384)}
SHORT = Lengths(20_000, 50_000)


def measure(report: Report, shape: str, device: str, rates: Rates) -> None:
    """All of it; the peak of the device's memory at the end."""
    lengths = LENGTHS.get(shape, SHORT)
    model = build(shape, WINDOW, 4, device)
    state = _read(report, model, shape, lengths.usual, rates)
    for rows in DECODE_BARS:
        _decode(report, model, shape, BeaconPrefix(model, state), rows, rates)
    _load(report, model, state, rates)
    del model, state
    _read(report, build(shape, WINDOW, 16, device), shape, lengths.longest, rates)
    if device.startswith("cuda"):
        report.show("most device memory held", torch.cuda.max_memory_allocated() / GIB, "GiB")


def _read(report: Report, model: BeaconModel, shape: str, length: int, rates: Rates) -> BeaconState:
    """The state after reading."""
    ids, ratio = tokens(length, shape), model.layout.ratio
    read(model, ids[: (PLANNED if model.model.device.type == "cuda" else 3) * WINDOW])
    states: list[BeaconState] = []
    taken = seconds(lambda: states.append(read(model, ids)))
    floor = _reading_floor(model, shape, length, rates)
    name = f"reading {length:,} tokens at ratio {ratio}"
    report.show(name, taken, "s", (floor, "products, attention"), READ_BARS[ratio])
    report.show(f"its memory, {states[0].key_values.tokens:,} entries", states[0].key_values.nbytes / GIB, "GiB")
    return states[0]


def _reading_floor(model: BeaconModel, shape: str, length: int, rates: Rates) -> float:
    """Seconds of the matrix products and of attention alone, at the rates measured."""
    sizes, layout = SHAPES[shape], model.layout
    products = 2 * _matrices(model) * (length + length // layout.ratio)
    starts = range(0, length, layout.window)
    entries = layout.window + layout.window // layout.ratio
    pairs = sum(entries * (layout.folded(start) + entries / 2) for start in starts)
    return products / rates.products + 4 * sizes.hidden * sizes.layers * pairs / rates.attention


def _matrices(model: BeaconModel) -> int:
    """Weights that every entry is multiplied with."""
    sizes = model.model.config
    width = sizes.hidden_size // sizes.num_attention_heads
    attention = 2 * sizes.hidden_size**2 + 2 * sizes.hidden_size * sizes.num_key_value_heads * width
    return int(sizes.num_hidden_layers * (attention + 3 * sizes.hidden_size * sizes.intermediate_size))


def _decode(report: Report, model: BeaconModel, shape: str, prefix: BeaconPrefix, rows: int, rates: Rates) -> None:
    """Tokens a second once the first is there, beside weights and memory read once a step."""
    prompts = [tokens(40, shape, seed) for seed in range(rows)]

    scheduler = DecodeScheduler(frozenset())

    def ask(new: int) -> float:
        asked = [DecodeRow(prompt, new) for prompt in prompts]
        return seconds(lambda: scheduler.decode(asked, prefix, lambda _: None))

    report.show(f"the first {STEPS} tokens, steps captured, rows: {rows}", ask(STEPS), "s")
    speed = rows * steady(ask)
    config = model.model.config
    weights = _matrices(model) + config.vocab_size * config.hidden_size
    state = prefix.memory.nbytes if prefix.memory else 0
    moved = weights * model.model.dtype.itemsize + state
    floor = rows * rates.bandwidth / moved
    report.show(f"decoding, rows: {rows}", speed, "tokens/s", (floor, "bytes, once"), DECODE_BARS[rows])


def _load(report: Report, model: BeaconModel, state: BeaconState, rates: Rates) -> None:
    """A memory from a file into the device's memory, every byte of it."""
    memory = memory_model(model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        memory.save(Memory.of(state.key_values, {"read": state.read}), folder)

        def load() -> None:
            loaded = memory.load(folder).state
            sums = [tensor.sum() for tensor in (*loaded.keys, *loaded.values)]
            assert len(sums) == 2 * len(state.key_values.keys)
            wait()

        load()
        taken = statistics.median(seconds(load) for _ in range(3))
    floor = state.key_values.nbytes / rates.copies
    report.show("loading it from a file the system has read", taken, "s", (floor, "copied to the device"), LOAD_BAR)
