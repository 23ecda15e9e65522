"""Memory models by kind. A new one: a file beside these, and a row here."""

from memorag_core.memory.base import Memory, MemoryModel
from memorag_core.memory.beacon import BeaconMemory
from memorag_core.memory.lite import LiteMemory
from memorag_core.memory.long import LongMemory

MEMORIES: dict[str, type[MemoryModel]] = {model.kind: model for model in (LiteMemory, BeaconMemory, LongMemory)}

__all__ = ["MEMORIES", "BeaconMemory", "LiteMemory", "LongMemory", "Memory", "MemoryModel"]
