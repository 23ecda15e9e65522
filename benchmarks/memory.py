"""What a beacon memory costs, at a model's shape with random weights, each number against its baseline; and its growth.

Run: python -m benchmarks.memory [--shape S] [--tokens N] [--load-tokens N] [--growth 8192 32768 131072 1048576]

The baselines are the same model in plain transformers with its cache, and questions asked one after the other. The
growth is measured at a small shape: every window is timed, and its time is explained by a constant and the entries of
the memory that its tokens attend to (least squares over the medians of runs of windows, with R²).
"""

from __future__ import annotations

import argparse
import copy
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from transformers import DynamicCache

from benchmarks.shapes import SHAPES, build, interleaved, plain, seconds, tokens
from memorag_core.memory import Memory
from memorag_core.memory.beacon import BeaconMemory
from memorag_core.models.beacon.model import BeaconModel, BeaconState
from memorag_core.models.beacon.prefix import BeaconPrefix
from memorag_core.models.beacon.reading import read
from memorag_core.models.lm.decoding import decode

QUERY_TOKENS = 40
STEPS = 33
ANSWER_TOKENS = 24
BATCHES = (1, 4, 16)
GROUPS = 32


class Plain:
    """The baseline: transformers' own model and cache, fed window by window."""

    def __init__(self, model: Any, window: int) -> None:
        self.model, self.window = model, window

    def read(self, ids: Sequence[int]) -> Any:
        """The cache of all keys and values."""
        cache = DynamicCache(config=self.model.config)
        with torch.inference_mode(), self._attention():
            for at in range(0, len(ids), self.window):
                self.model(
                    input_ids=torch.tensor([ids[at : at + self.window]], device=self.model.device),
                    past_key_values=cache,
                    logits_to_keep=1,
                )
        return cache

    def decode(self, ids: Sequence[int], cache: Any, new: int) -> float:
        """Seconds of `generate` for `new` tokens after `ids`, all but the last few of which are in the cache."""
        cache = copy.deepcopy(cache)
        given = torch.tensor([list(ids)], device=self.model.device)
        lengths = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False}
        with torch.inference_mode(), self._attention():
            taken: float = seconds(lambda: self.model.generate(given, past_key_values=cache, **lengths))
        return taken

    def _attention(self) -> Any:
        return _Attention(self.model)


class _Attention:
    """transformers' own attention while it lasts."""

    def __init__(self, model: Any) -> None:
        self.model, self.ours = model, model.config._attn_implementation

    def __enter__(self) -> None:
        self.model.set_attn_implementation("sdpa")

    def __exit__(self, *exception: object) -> None:
        self.model.set_attn_implementation(self.ours)


def steady(taken: Callable[[int], float]) -> float:
    """Tokens a second once the first is there, of a function from a number of tokens to seconds."""
    return (STEPS - 1) / (taken(STEPS) - taken(1))


class Costs:
    """One context, read by both."""

    def __init__(self, model: BeaconModel, shape: str, context: int) -> None:
        self.model, self.shape = model, shape
        layout = model.layout
        self.plain = Plain(plain(shape, layout.window, layout.ratio, model.model.device.type), layout.window)
        self.ids = tokens(context, shape)
        self.query = tokens(QUERY_TOKENS, shape, seed=1)
        self.state: BeaconState = read(model, self.ids[:1])
        self.cache: Any = None

    def reading(self, runs: int) -> list[float]:
        """Tokens a second, ours and plain."""

        def ours() -> None:
            self.state = read(self.model, self.ids)

        def baseline() -> None:
            self.cache = self.plain.read(self.ids)

        return interleaved(runs, [lambda: len(self.ids) / seconds(ours), lambda: len(self.ids) / seconds(baseline)])

    def decoding(self, runs: int) -> list[float]:
        """Tokens a second, ours and plain."""
        whole = self.ids + self.query
        return interleaved(
            runs,
            [
                lambda: steady(lambda new: self.asked([self.query], new)),
                lambda: steady(lambda new: self.plain.decode(whole, self.cache, new)),
            ],
        )

    def questions(self, runs: int) -> list[float]:
        """Questions a second at each batch size; lengths differ."""
        asked = [tokens(QUERY_TOKENS - 10 + number, self.shape, number) for number in range(max(BATCHES))]

        def at(size: int) -> float:
            return size / self.asked(asked[:size], ANSWER_TOKENS)

        return interleaved(runs, [partial(at, size) for size in BATCHES])

    def asked(self, prompts: Sequence[Sequence[int]], new: int) -> float:
        """Seconds to reply with `new` tokens to all of `prompts` as a batch."""
        return seconds(lambda: decode(BeaconPrefix(self.model, self.state), prompts, new))


@dataclass(frozen=True)
class MemoryState:
    """A memory on disk."""

    bytes: int
    load_seconds: float


def memory_model(model: BeaconModel) -> BeaconMemory:
    """The memory model of beacons alone, without a tokenizer: to save and load, not to ask."""
    return BeaconMemory(cast(Any, SimpleNamespace(whole=SimpleNamespace(model=model.model))), model)


def kept(model: BeaconModel, state: BeaconState) -> MemoryState:
    """Save and load a memory, through the public interface."""
    memory = memory_model(model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        memory.save(Memory.of(state.key_values, {"read": state.read}), folder)
        size = sum(path.stat().st_size for path in folder.iterdir())
        return MemoryState(size, statistics.median(seconds(lambda: memory.load(folder)) for _ in range(3)))


def costs(measured: Costs, runs: int, load_tokens: int) -> None:
    """Print a row for each cost."""
    print(f"{'':<34} {'ours':>12} {'baseline':>12} {'ratio':>8}   baseline")
    ours, plain = measured.reading(runs)
    row("memorize, tokens/s", ours, plain, "plain transformers, its cache")
    ours, plain = measured.decoding(runs)
    row("decode over it, tokens/s", ours, plain, "generate over that cache")
    single, *batches = measured.questions(runs)
    for size, speed in zip(BATCHES, (single, *batches), strict=True):
        row(f"questions/s, batch {size}", speed, single, "one after the other")
    count, state = len(measured.ids), measured.state
    whole = sum(layer.keys.nbytes + layer.values.nbytes for layer in measured.cache.layers)
    row("bytes a token, held", whole / count, state.key_values.nbytes / count, "plain cache (here: left)")
    row("bytes a token, on disk", whole / count, kept(measured.model, state).bytes / count, "plain cache (here: left)")
    ids = tokens(load_tokens, measured.shape)
    states: list[BeaconState] = []
    encoding = seconds(lambda: states.append(read(measured.model, ids)))
    loading = kept(measured.model, states[0]).load_seconds
    row(f"load of {load_tokens} tokens, s", encoding, loading, "encoding (here: left)")


def row(name: str, ours: float, baseline: float, what: str) -> None:
    """One line; the ratio is the first over the second."""
    print(f"{name:<34} {ours:12.2f} {baseline:12.2f} {ours / baseline:7.2f}x   {what}", flush=True)


def growth(model: BeaconModel, shape: str, lengths: Sequence[int]) -> None:
    """Read the longest once and print what each length took, and what explains the time of a window."""
    window, longest = model.layout.window, max(lengths)
    read(model, tokens(2 * window, shape))
    times = [time.perf_counter()]
    read(model, tokens(longest, shape), lambda done, total: times.append(time.perf_counter()))
    taken = [after - before for before, after in itertools.pairwise(times)]
    entries = [model.layout.folded(number * window) for number in range(len(taken))]
    slope, constant, explained = fit(entries, taken)
    print(
        f"\n{'tokens':>9} {'seconds':>9} {'tokens/s':>9} {'entries':>8}   ms of a window: {'first':>8} {'middle':>8}",
        end="",
    )
    print(f" {'last':>8}  {'last, explained':>16}")
    for length in sorted(lengths):
        count = length // window
        first, middle, last = (around(taken, at, count) * 1e3 for at in (0, count // 2, count - 1))
        model_ms = (constant + slope * entries[count - 1]) * 1e3
        print(
            f"{length:>9} {sum(taken[:count]):9.2f} {length / sum(taken[:count]):9.0f} {entries[count - 1]:>8}", end=""
        )
        print(f"   {'':<15} {first:8.1f} {middle:8.1f} {last:8.1f}  {model_ms:16.1f}")
    print(f"a window takes {constant * 1e3:.1f} ms + {slope * 1e6:.3f} ms for each 1000 entries of memory, ", end="")
    print(f"R² = {explained:.4f}", flush=True)


def around(taken: Sequence[float], at: int, count: int) -> float:
    """The median of a window and its neighbours."""
    first = min(max(0, at - 2), max(0, count - 5))
    return statistics.median(taken[first : min(first + 5, count)])


def fit(entries: Sequence[int], taken: Sequence[float]) -> tuple[float, float, float]:
    """Slope, constant and R², over the medians of `GROUPS` runs of windows: what else the machine does is left out."""
    size = max(1, len(taken) // GROUPS)
    starts = range(0, len(taken) - size + 1, size)
    xs = [statistics.mean(entries[at : at + size]) for at in starts]
    ys = [statistics.median(taken[at : at + size]) for at in starts]
    slope, constant = statistics.linear_regression(xs, ys)
    return slope, constant, statistics.correlation(xs, ys) ** 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="smollm2-135m")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--load-tokens", type=int, default=32768)
    parser.add_argument("--window", type=int, default=1024)
    parser.add_argument("--ratio", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--growth", type=int, nargs="*", default=[8192, 32768, 131072, 1 << 20])
    parser.add_argument("--growth-shape", choices=SHAPES, default="tiny")
    parser.add_argument("--growth-window", type=int, default=2048)
    parser.add_argument("--growth-ratio", type=int, default=32)
    chosen = parser.parse_args()
    print(
        f"{chosen.shape}, window {chosen.window}, ratio {chosen.ratio}, {chosen.tokens} tokens, {chosen.device}, ",
        end="",
    )
    print(f"{torch.get_num_threads()} threads, medians of {chosen.runs}")
    model = build(chosen.shape, chosen.window, chosen.ratio, chosen.device)
    read(model, tokens(2 * chosen.window, chosen.shape))
    costs(Costs(model, chosen.shape, chosen.tokens), chosen.runs, chosen.load_tokens)
    if chosen.growth:
        print(f"\ngrowth: {chosen.growth_shape}, window {chosen.growth_window}, ratio {chosen.growth_ratio}", end="")
        small = build(chosen.growth_shape, chosen.growth_window, chosen.growth_ratio, chosen.device)
        growth(small, chosen.growth_shape, chosen.growth)


if __name__ == "__main__":
    main()
