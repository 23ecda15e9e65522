"""Generators by name. A new one: a file beside these, and a case in `open_generator`."""

from memorag_core.generation.api import ApiGenerator
from memorag_core.generation.base import Generator
from memorag_core.generation.local import LocalGenerator
from memorag_core.models.api.chat import ChatModel
from memorag_core.models.api.endpoints import is_remote
from memorag_core.models.weights import Weights


def open_generator(name: str, weights: Weights) -> Generator:
    """Open a model to write with: `KIND:MODEL` of an API, or a local one."""
    return ApiGenerator(ChatModel(name)) if is_remote(name) else LocalGenerator(weights.question_reader(name))


__all__ = ["ApiGenerator", "Generator", "LocalGenerator", "open_generator"]
