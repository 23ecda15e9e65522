"""Memory models by kind. A new one: a file beside these, and a row here."""

from memorag_core.memory.base import Memory, MemoryModel
from memorag_core.memory.beacon import BeaconMemory
from memorag_core.memory.lite import LiteMemory

MEMORIES: dict[str, type[MemoryModel]] = {model.kind: model for model in (LiteMemory, BeaconMemory)}

__all__ = ["MEMORIES", "BeaconMemory", "LiteMemory", "Memory", "MemoryModel"]
