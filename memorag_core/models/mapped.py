"""Tensors of a safetensors file in numpy, mapped: what is not used is not read, and nothing is copied."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Tensors: TypeAlias = "Mapping[str, NDArray[Any]]"
TYPES = {
    "F32": np.float32,
    "F16": np.float16,
    "BF16": np.uint16,  # numpy has no such type: these are its bits
    "I64": np.int64,
    "I32": np.int32,
    "I8": np.int8,
    "U8": np.uint8,
}
LENGTH = 8


def map_tensors(path: Path) -> Tensors:
    """The tensors of a file by name, also after it was replaced or deleted; who writes into one changes no file.

    Raises:
        OSError, ValueError, KeyError: it cannot be read, is damaged, or has tensors of other types.
    """
    data = np.memmap(path, np.uint8, "c").view(np.ndarray)
    begin = LENGTH + int.from_bytes(data[:LENGTH].tobytes(), "little")
    header: dict[str, Any] = json.loads(data[LENGTH:begin].tobytes())
    return {name: _view(data[begin:], entry) for name, entry in header.items() if name != "__metadata__"}


def _view(data: NDArray[np.uint8], entry: Mapping[str, Any]) -> NDArray[Any]:
    start, end = entry["data_offsets"]
    kind = np.dtype(TYPES[entry["dtype"]])
    if end - start != math.prod(entry["shape"]) * kind.itemsize:
        raise ValueError(f"a tensor of shape {entry['shape']} has {end - start} bytes")
    return data[start:end].view(kind).reshape(entry["shape"])
