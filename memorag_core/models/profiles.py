"""Which models a profile names on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from memorag_core.config import (
    BEACON_MEMORY,
    LATENT_MEMORY,
    NO_MEMORY,
    PROFILES,
    REMOTE_MEMORY,
    SMALL_QWEN,
    Head,
    Profile,
    Settings,
)
from memorag_core.errors import InputError
from memorag_core.models import hub
from memorag_core.models.api.endpoints import is_remote
from memorag_core.models.known_heads import known_heads
from memorag_core.models.latent.checkpoint import holds_latents
from memorag_core.models.weights import Weights, choose_device, model_is_here

GIB = 1 << 30
NEEDS = {"full": 24, "lite": 8}
ROUNDED = 0.9
ENOUGH_TO_WRITE = 8
"""GiB of memory beside which a small model that writes has room."""


def choose_profile(settings: Settings) -> Profile:
    """The profile asked for, or for `auto` the largest this machine can run; with the models named in the settings.

    Raises:
        InputError: no profile has that name.
    """
    name = _choose_fitting(settings) if settings.profile == "auto" else settings.profile
    if name not in PROFILES:
        raise InputError(f"There is no profile '{name}'. Choose one of: auto, {', '.join(PROFILES)}.")
    profile = PROFILES[name]
    memory_model = settings.memory_model or profile.memory_model
    return replace(
        profile,
        memory=_kind(memory_model, settings.memory, profile),
        memory_model=memory_model,
        recall=settings.recall or profile.recall,
        heads=_heads(settings, profile, memory_model),
        beacon_ratio=profile.beacon_ratio if settings.beacon_ratio is None else settings.beacon_ratio,
        embedder=settings.embedder or profile.embedder,
        generator=settings.generator or profile.generator,
        retriever=settings.retriever or profile.retriever,
        reranker=settings.reranker or profile.reranker,
        entailment=settings.entailment or profile.entailment,
        compression=settings.compression or profile.compression,
        compression_method=settings.compression_method or profile.compression_method,
        prefill=settings.prefill or profile.prefill,
        storage=settings.storage or profile.storage,
    )


def _heads(settings: Settings, profile: Profile, memory_model: str) -> tuple[Head, ...]:
    """The heads wanted, `LAYER:HEAD,…`; else those found here; else the profile's, if the memory model is its own."""
    if settings.heads:
        pairs = (pair.split(":") for pair in settings.heads.split(","))
        return tuple((int(layer), int(head)) for layer, head in pairs)
    found = known_heads(settings.models_dir, memory_model, lambda: Weights(settings, print).revision_here(memory_model))
    return found or (profile.heads if memory_model == profile.memory_model else ())


def _kind(memory_model: str, wanted: str | None, profile: Profile) -> str:
    """The kind of memory: the one wanted, else what the model was made for where that is known, else the profile's."""
    if is_remote(memory_model) and wanted != NO_MEMORY:
        return REMOTE_MEMORY
    if wanted:
        return wanted
    if holds_latents(Path(memory_model)):
        return LATENT_MEMORY
    config = Path(memory_model) / "config.json"
    made_for_beacons = config.is_file() and "beacon_window" in json.loads(config.read_text(encoding="utf-8"))
    return BEACON_MEMORY if made_for_beacons else profile.memory


def suggest_generator(settings: Settings, nearby: Iterable[str] = ()) -> str:
    """What this machine could write with, where the chosen generator cannot: the one option, and why.

    Args:
        nearby: models that servers on this machine have.
    """
    if name := next(iter(nearby), None):
        return f"a server on this machine has a model that writes: --generator {name}"
    if fitting := next(_list_fitting(settings), None):
        return f"this GPU holds the models of the profile {fitting}: --profile {fitting}"
    if _count_memory() >= ENOUGH_TO_WRITE * GIB:
        return f"this machine could write with a larger model, slowly: --generator {SMALL_QWEN}"
    return "a server could write: --generator ollama:MODEL, or another of docs/options.md"


def _choose_fitting(settings: Settings) -> str:
    """The largest profile that the chosen device holds and whose models are here or can be fetched."""
    return next((name for name in _list_fitting(settings) if _obtainable(PROFILES[name], settings.models_dir)), "tiny")


def _list_fitting(settings: Settings) -> Iterator[str]:
    """The profiles that the chosen device holds, the largest first; none without a GPU."""
    device = choose_device(settings)
    if device.startswith("cuda"):
        import torch

        total = torch.cuda.get_device_properties(device).total_memory
        yield from (name for name, need in NEEDS.items() if total >= need * GIB * ROUNDED)


def _count_memory() -> int:
    """The bytes of memory that this machine has."""
    import psutil

    return int(psutil.virtual_memory().total)


def _obtainable(profile: Profile, models_dir: Path) -> bool:
    names = (profile.memory_model, profile.embedder)
    return all(model_is_here(name, models_dir) or hub.has(name) for name in names)
