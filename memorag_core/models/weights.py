"""From a profile's names to loaded models; each is loaded once, when it is first needed."""

from __future__ import annotations

import atexit
import gc
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from memorag_core.config import Settings
from memorag_core.errors import ModelUnavailable
from memorag_core.models import embedded, hub
from memorag_core.models.latent.checkpoint import language_model_in

if TYPE_CHECKING:
    from memorag_core.models.lm.language_model import LanguageModel
    from memorag_core.models.question_reader import QuestionReader

SAMPLE = 1 << 16


def import_libraries() -> None:
    """Import what language models need. When the process ends, no collection goes through what was imported."""
    atexit.register(gc.freeze)
    with _without_collections():
        import_module("memorag_core.models.lm.language_model")
        import_module("transformers.models.auto.modeling_auto")


@contextmanager
def _without_collections() -> Iterator[None]:
    """Collect no garbage inside: of the million objects that are made, few are, and it takes a sixth of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def choose_device(settings: Settings) -> str:
    """The device asked for, or for `auto` the first of CUDA, MPS and CPU that is there."""
    if settings.device != "auto":
        return settings.device
    if version("torch").endswith("+cpu"):  # such a build need not be imported, which takes a second
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def model_is_here(name: str, models_dir: Path) -> bool:
    """Whether a model can be loaded without a network: an embedded one, a folder, or one in the hub's cache."""
    if name in embedded.WHEELS:
        return embedded.present(name, models_dir)
    return hub.in_cache(name) if hub.is_id(name) else Path(name).expanduser().is_dir()


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
        self._readers: dict[str, QuestionReader] = {}

    @cached_property
    def device(self) -> str:
        """The device all models are put on."""
        return choose_device(self.settings)

    def source(self, name: str) -> str | Path:
        """What a loader takes: the folder of an embedded model (fetched now if need be), another folder, or a hub id.

        Raises:
            ModelUnavailable: there is a folder here that a loader would take for the model of that id.
        """
        if name in embedded.WHEELS:
            return embedded.ensure(name, self.settings.models_dir, self.say)
        if not hub.is_id(name):
            return Path(name).expanduser().absolute()
        if os.path.lexists(name):
            raise ModelUnavailable(
                f"'{name}' is an id on the model hub, and here is a folder of that name. Write ./{name} if you mean "
                "the folder; for the model of the hub, start in another folder."
            )
        return name

    def revision(self, name: str) -> str:
        """The wheel's checksum of an embedded model, a digest of a folder; of a hub id the loader knows the commit."""
        if name in embedded.WHEELS:
            return embedded.revision(name)
        folder = Path(name).expanduser()
        return digest_of(folder) if not hub.is_id(name) and folder.is_dir() else ""

    def revision_here(self, name: str) -> str:
        """The revision of a model without loading it; of a hub id, the commit that is in the cache."""
        return self.revision(name) or hub.commit(name)

    def language_model(self, name: str) -> LanguageModel:
        """The language model of that name, loaded the first time."""
        if name not in self._loaded:
            source = self.source(name)
            self.say(f"loading {name}")
            with _without_collections():
                import_libraries()
                from memorag_core.models.lm.language_model import LanguageModel

                found = language_model_in(source)
                lm = LanguageModel.load(found, self.device, name, self.settings.weights, self.source)
            lm.revision = self.revision(name) or hub.commit(name)
            if base := getattr(lm.model.config, "beacon_base", None):
                lm.revision += f"+{self.revision(base) or hub.commit(base)}"
            self._loaded[name] = lm
        return self._loaded[name]

    def question_reader(self, name: str) -> QuestionReader:
        """What reads questions for the language model of that name: compiled, where it can be; else itself, loaded."""
        if name not in self._readers:
            self._readers[name] = self._open_compiled(name) or self.language_model(name)
        return self._readers[name]

    def is_compiled(self, name: str) -> bool:
        """Whether questions for a language model can be read without loading it."""
        from memorag_core.models.compiled.reader import place_of

        folder = self._compiles_from(name) if model_is_here(name, self.settings.models_dir) else None
        return folder is not None and place_of(folder, self.settings.models_dir, self.revision_here(name)).is_dir()

    def _open_compiled(self, name: str) -> QuestionReader | None:
        from memorag_core.models.compiled.reader import open_compiled, place_of

        folder = self._compiles_from(name)
        if folder is None:
            return None
        revision = self.revision_here(name)
        place = place_of(folder, self.settings.models_dir, revision)
        return open_compiled(folder, place, name, revision, partial(self.language_model, name))

    def _compiles_from(self, name: str) -> Path | None:
        """The folder of a language model that is here; None where it is not run on a CPU in full precision."""
        if self.device != "cpu" or self.settings.weights != "full":
            return None
        source = self.source(name)
        return Path(language_model_in(source)) if Path(source).is_dir() else hub.find_cached(str(source))

    @property
    def opened(self) -> int:
        """How many language models are loaded."""
        return len(self._loaded)

    def give_up_buffers(self) -> None:
        """Drop buffers that models keep for the next request. For the holder of the device's slot."""
        for lm in self._loaded.values():
            lm.scheduler.give_up_buffers()

    def drop(self) -> None:
        """Forget what is loaded; whoever still uses a model keeps it until then."""
        self._loaded.clear()
        self._readers.clear()
