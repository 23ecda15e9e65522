"""Engines share a `Runtime`: loaded models, the queues for them, and the contexts kept warm. One for each device."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from memorag_core.components import Components
from memorag_core.concurrency.device_memory import release_memory
from memorag_core.concurrency.device_queue import FairQueue
from memorag_core.concurrency.lru import LRUCache
from memorag_core.config import ORIGINALS, Profile, Settings
from memorag_core.context.corpus import Context
from memorag_core.models.profiles import choose_profile, suggest_generator
from memorag_core.models.weights import Weights, import_libraries
from memorag_core.text.templates import read_templates
from memorag_core.types import Recalled, Recollection

KEPT_RECALLS = 256
MIB = 1 << 20
BYTES_A_CHARACTER = 16


class Runtime:
    """Models of one choice, for the engines of any number of stores. Nothing is loaded before it is needed.

    `device_queue` is the queue of all that use the models; `encode_queue` that of long work, which is done one at a
    time, because each holds a memory that grows. Whoever has the device's slot may use the two caches.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None], lasting: bool = False) -> None:
        """`settings.store` is ignored. `say` gets one line before every slow step (download, load).

        A `lasting` one lives as long as its process: collections of garbage, for which all threads wait, pass its
        models over.
        """
        self.say = say
        self.lasting = lasting
        self.weights = Weights(settings, say)
        self.device_queue = FairQueue(settings.queue, settings.patience)
        self.encode_queue = FairQueue(settings.queue, settings.patience)
        self.context_cache: LRUCache[tuple[Path, str], Context] = LRUCache(settings.warm_mib * MIB, size_of)
        self.recall_cache: LRUCache[Recalled, Recollection] = LRUCache(KEPT_RECALLS)
        self.device_queue.give_up_caches = self._give_up_caches
        self._templates = read_templates(settings.prompts)
        self._components: Components | None = None
        self._frozen = 0
        self._advised = False

    @cached_property
    def profile(self) -> Profile:
        """The models in use."""
        return choose_profile(self.weights.settings)

    @property
    def loaded(self) -> bool:
        """Whether the models are in memory."""
        return self._components is not None

    @property
    def components(self) -> Components:
        """The models, loaded now if need be. For the holder of the device's slot."""
        if self._components is None:
            self._components = Components(self.profile, self.weights, self._templates)
        if self.lasting and self._frozen != self._components.opened:
            self._frozen = self._components.opened
            gc.collect()
            gc.freeze()  # half a million objects, which a full collection would go through in a third of a second
        return self._components

    def import_libraries(self) -> None:
        """Import what the first question needs, which takes longer than loading the models; needs no slot.

        Where models are compiled for it, it needs no library that loads slowly, and would be kept waiting by them.
        """
        profile = self.profile
        if profile.recall == "attended" and profile.extracts and self.weights.is_compiled(profile.memory_model):
            return
        import_libraries()
        if self.lasting:
            gc.freeze()  # else loading the models has collections go through what was imported

    def advise(self) -> str | None:
        """What this machine could write with, the first time; None where it was said, or the generator writes."""
        advised, self._advised = self._advised, True
        if advised or not self.profile.extracts:
            return None
        small, better = self.profile.generator_model, suggest_generator(self.weights.settings)
        return f"{small} is too small to write, so that answers are the text's own sentences; {better}"

    def _give_up_caches(self) -> None:
        """Drop warm contexts and unused buffers, as the device's memory has run out."""
        self.say("the memory of the device ran out; contexts that were kept warm are given up")
        self.context_cache.clear()
        self.weights.give_up_buffers()

    def unload(self, idle_seconds: float) -> bool:
        """Drop models and warm contexts where nobody used them for so long; whether it did."""
        if not self.loaded or self.device_queue.idle_seconds < idle_seconds:
            return False
        with self.device_queue.slot(patient=True):
            self._components, self._frozen = None, 0
            self.weights.drop()
            self.context_cache.clear()
            if self.lasting:
                gc.unfreeze()
            release_memory()
        self.say(f"unloaded the models, which nobody used for {idle_seconds:.0f} s")
        return True


def size_of(context: Context) -> int:
    """About the bytes that a context takes: numbers twice as wide as on disk, and texts with their chunks and terms."""
    files = context.manifest.files.items()
    on_disk = sum(entry.bytes for name, entry in files if not name.startswith(f"{ORIGINALS}/"))
    return 2 * on_disk + BYTES_A_CHARACTER * sum(len(document.text) for document in context.documents)
