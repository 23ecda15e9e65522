"""Memory models by kind. A new one: a file beside these, of the kind's name, and a row here.

Most need torch, so that each is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from memorag_core.config import BEACON_MEMORY, LATENT_MEMORY, NO_MEMORY, REMOTE_MEMORY, Profile
from memorag_core.errors import InputError
from memorag_core.memory.base import KeyValueMemory, Memory, MemoryModel, MemoryState
from memorag_core.models.weights import Weights

if TYPE_CHECKING:
    from memorag_core.memory.beacon import BeaconMemory
    from memorag_core.memory.latent import LatentMemory
    from memorag_core.memory.lite import LiteMemory
    from memorag_core.memory.lite_api import LiteApiMemory
    from memorag_core.memory.long import LongMemory
    from memorag_core.memory.none import NoMemory

KINDS = {
    "lite": "LiteMemory",
    BEACON_MEMORY: "BeaconMemory",
    LATENT_MEMORY: "LatentMemory",
    "long": "LongMemory",
    REMOTE_MEMORY: "LiteApiMemory",
    NO_MEMORY: "NoMemory",
}


def open_memory(profile: Profile, weights: Weights) -> MemoryModel[Any]:
    """Open the memory model of a profile.

    Raises:
        InputError: no memory of that kind, or one that cannot run as it was asked to.
        ModelUnavailable: weights that cannot be had, or an extra that is missing.
    """
    if profile.memory not in KINDS:
        raise InputError(f"There is no memory '{profile.memory}'. Choose one of: {', '.join(KINDS)}.")
    model: type[MemoryModel[Any]] = __getattr__(KINDS[profile.memory])
    return model.open(profile, weights)


def __getattr__(name: str) -> Any:
    """Import the class of a kind when it is asked for."""
    for kind, own in KINDS.items():
        if own == name:
            return getattr(import_module(f"{__name__}.{kind.replace('-', '_')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "KINDS",
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
    "open_memory",
]
