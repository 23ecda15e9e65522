"""Memory models by kind. A new one: a file beside these, and a row here."""

from typing import Any

from memorag_core.memory.base import KeyValueMemory, Memory, MemoryModel, MemoryState
from memorag_core.memory.beacon import BeaconMemory
from memorag_core.memory.latent import LatentMemory
from memorag_core.memory.lite import LiteMemory
from memorag_core.memory.lite_api import LiteApiMemory
from memorag_core.memory.long import LongMemory
from memorag_core.memory.none import NoMemory

KINDS: tuple[type[MemoryModel[Any]], ...] = (
    LiteMemory,
    BeaconMemory,
    LatentMemory,
    LongMemory,
    LiteApiMemory,
    NoMemory,
)
MEMORIES = {model.kind: model for model in KINDS}

__all__ = [
    "MEMORIES",
    "BeaconMemory",
    "KeyValueMemory",
    "LatentMemory",
    "LiteApiMemory",
    "LiteMemory",
    "LongMemory",
    "Memory",
    "MemoryModel",
    "MemoryState",
    "NoMemory",
]
