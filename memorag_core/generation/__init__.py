"""Generators by name. A new one: a file beside these, and a row here."""

from memorag_core.config import Profile
from memorag_core.generation.api import PREFIX, ApiGenerator
from memorag_core.generation.base import Generator
from memorag_core.generation.local import LocalGenerator
from memorag_core.models.language_model import LanguageModel
from memorag_core.models.registry import Weights

MEMORY = "memory"


def open_generator(profile: Profile, weights: Weights, memory_lm: LanguageModel) -> Generator:
    """The generator a profile names: `memory` (the memory model itself), `openai:MODEL`, or a local model."""
    name = profile.generator
    if name.startswith(PREFIX):
        return ApiGenerator(name.removeprefix(PREFIX))
    return LocalGenerator(memory_lm if name == MEMORY else weights.language_model(name))


__all__ = ["ApiGenerator", "Generator", "LocalGenerator", "open_generator"]
