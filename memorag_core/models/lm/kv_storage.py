"""A key-value state in a safetensors file: half precision, int8 or int4, read layer by layer when first needed.

Keys are quantized by channel, values by token, because that is how their outliers lie (Liu et al., KIVI, arXiv
2402.02750): as int8 with one scale for all entries of a channel or token; as int4 with a scale and a lowest value for
every `GROUP` of them. Heads are quantized each for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from memorag_core.config import Storage
from memorag_core.models.lm.key_values import KeyValues, RaggedKeyValues, key_values
from memorag_core.models.mapped import Tensors

HALF = {torch.float32: torch.float16}
TOKENS, CHANNELS = -2, -1
PARTS = {"keys": TOKENS, "values": CHANNELS}
SCALE, LOW, COUNTS = ".scale", ".low", "counts"
GROUP = 64
FOUR_BITS = 15
SMALLEST = 1e-7


def save(state: KeyValues, path: Path, storage: Storage) -> None:
    """Write keys and values; `half` is float16 of float32 and leaves other types, the others have scales beside it."""
    stored: dict[str, torch.Tensor] = {}
    for name, along in PARTS.items():
        for layer, tensor in enumerate(getattr(state, name)):
            for key, part in _parts(state, tensor, layer):
                stored |= {f"{name}.{key}{suffix}": kept for suffix, kept in _encode(part, along, storage).items()}
    if isinstance(state, RaggedKeyValues):
        stored[COUNTS] = state.counts
    save_file(stored, path)


def load(stored: Tensors, next_position: int, like: Any) -> KeyValues:
    """What `save` wrote, whichever way, as `map_tensors` maps it, for the device and dtype of the model `like`."""
    counts = _to_torch(stored[COUNTS]) if COUNTS in stored else None
    layers = {name.split(".")[1] for name in stored if name.startswith("keys.")}

    def read(key: str, along: int) -> torch.Tensor:
        kept = {suffix: stored[key + suffix] for suffix in ("", SCALE, LOW) if key + suffix in stored}
        found = {suffix: _to_torch(array).to(like.device) for suffix, array in kept.items()}
        return _decode(found, along, like.dtype)

    def reader(name: str, layer: int) -> Callable[[], torch.Tensor]:
        keys = [f"{name}.{layer}"] if counts is None else [f"{name}.{layer}.{n}" for n in range(counts.shape[2])]
        return lambda: torch.cat([read(key, PARTS[name]) for key in keys], TOKENS)

    keys, values = (LazyTensors([reader(name, layer) for layer in range(len(layers))]) for name in PARTS)
    return key_values(keys, values, next_position, counts)


class LazyTensors(Sequence[torch.Tensor]):
    """Tensors that are each read when first asked for, and kept."""

    def __init__(self, readers: Sequence[Callable[[], torch.Tensor]]) -> None:
        self._readers = readers
        self._read: dict[int, torch.Tensor] = {}

    def __len__(self) -> int:
        return len(self._readers)

    @overload
    def __getitem__(self, at: int) -> torch.Tensor: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[torch.Tensor]: ...
    def __getitem__(self, at: int | slice) -> torch.Tensor | Sequence[torch.Tensor]:
        numbers = range(len(self))[at]
        return self._one(numbers) if isinstance(numbers, int) else tuple(map(self._one, numbers))

    def __iter__(self) -> Iterator[torch.Tensor]:
        return map(self._one, range(len(self)))

    def _one(self, number: int) -> torch.Tensor:
        if number not in self._read:
            self._read[number] = self._readers[number]()
        return self._read[number]


def _to_torch(array: NDArray[Any]) -> torch.Tensor:
    tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if array.dtype == np.uint16 else tensor


def _parts(state: KeyValues, tensor: torch.Tensor, layer: int) -> Iterator[tuple[str, torch.Tensor]]:
    """What is written of a layer, and under which names."""
    if not isinstance(state, RaggedKeyValues):
        yield str(layer), tensor
        return
    for head, part in enumerate(state.by_head(tensor, layer)):
        yield f"{layer}.{head}", part


def _encode(tensor: torch.Tensor, along: int, storage: Storage) -> dict[str, torch.Tensor]:
    """What is written of a tensor, by suffixes of its name; scales are shared `along` a dimension."""
    if storage == "half":
        return {"": tensor.to(HALF.get(tensor.dtype, tensor.dtype)).contiguous()}
    if storage == "int8":
        scale = tensor.float().abs().amax(along, keepdim=True).clamp(min=1e-8) / 127
        return {"": (tensor.float() / scale).round().to(torch.int8), SCALE: scale}
    groups = _group(tensor.float(), along)
    low = groups.amin(along, keepdim=True).half()
    scale = ((groups.amax(along, keepdim=True) - low) / FOUR_BITS).clamp(min=SMALLEST).half()
    steps = ((groups - low) / scale).round().clamp(0, FOUR_BITS).to(torch.uint8)
    numbers = _ungroup(steps, along, tensor.shape[along])
    return {"": numbers[..., ::2] | numbers[..., 1::2] << 4, SCALE: scale, LOW: low}


def _decode(found: dict[str, torch.Tensor], along: int, dtype: torch.dtype) -> torch.Tensor:
    """The tensor that `_encode` was given."""
    kept, scale, low = (found.get(suffix) for suffix in ("", SCALE, LOW))
    assert kept is not None
    if scale is None:
        return kept.to(dtype)
    if low is None:
        return kept.to(dtype) * scale.to(dtype)
    numbers = torch.stack((kept & FOUR_BITS, kept >> 4), -1).flatten(-2)
    groups = _group(numbers, along) * scale.float() + low.float()
    return _ungroup(groups, along, numbers.shape[along]).to(dtype)


def _group(tensor: torch.Tensor, along: int) -> torch.Tensor:
    """The groups of a dimension, which becomes two; the last group is filled up with what stands last."""
    count = tensor.shape[along]
    groups = -(-count // GROUP)
    at = torch.arange(groups * GROUP, device=tensor.device).clamp(max=max(0, count - 1))
    filled: torch.Tensor = tensor.index_select(along, at).unflatten(along, (groups, GROUP))
    return filled


def _ungroup(groups: torch.Tensor, along: int, count: int) -> torch.Tensor:
    return groups.flatten(along - 1, along).narrow(along, 0, count)
