"""A key-value state in a safetensors file: half precision or int8 on disk, read layer by layer when first needed.

Keys are written as int8 with a scale for each channel, values with one for each token, because that is how their
outliers lie (Liu et al., KIVI, arXiv 2402.02750).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from memorag_core.config import Storage
from memorag_core.models.lm.key_values import KeyValues, RaggedKeyValues, key_values

HALF = {torch.float32: torch.float16}
TOKENS, CHANNELS = -2, -1
PARTS = {"keys": TOKENS, "values": CHANNELS}
SCALE = ".scale"
COUNTS = "counts"


def save(state: KeyValues, path: Path, storage: Storage) -> None:
    """Write keys and values; `half` is float16 of float32 and leaves other types, `int8` has a scale beside it."""
    stored: dict[str, torch.Tensor] = {}
    for name, along in PARTS.items():
        for layer, tensor in enumerate(getattr(state, name)):
            key = f"{name}.{layer}"
            if storage == "int8":
                stored[key], stored[key + SCALE] = _quantize(tensor, along)
            else:
                stored[key] = tensor.to(HALF.get(tensor.dtype, tensor.dtype)).contiguous()
    if isinstance(state, RaggedKeyValues):
        stored[COUNTS] = state.counts
    save_file(stored, path)


def load(path: Path, next_position: int, like: Any) -> KeyValues:
    """What `save` wrote, whichever way, for the device and dtype of the model `like`. The file stays mapped."""
    file: Any = safe_open(path, framework="pt", device=str(like.device))
    names = set(file.keys())
    layers = sum(name.startswith("keys.") and not name.endswith(SCALE) for name in names)

    def reader(key: str) -> Callable[[], torch.Tensor]:
        def read() -> torch.Tensor:
            tensor: torch.Tensor = file.get_tensor(key).to(like.dtype)
            return tensor * file.get_tensor(key + SCALE).to(like.dtype) if key + SCALE in names else tensor

        return read

    keys, values = (LazyTensors([reader(f"{name}.{layer}") for layer in range(layers)]) for name in PARTS)
    counts = file.get_tensor(COUNTS).cpu() if COUNTS in names else None
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


def _quantize(tensor: torch.Tensor, along: int) -> tuple[torch.Tensor, torch.Tensor]:
    """int8, and the float32 scale that `along` a dimension all entries share."""
    scale = tensor.float().abs().amax(along, keepdim=True).clamp(min=1e-8) / 127
    return (tensor.float() / scale).round().to(torch.int8), scale
