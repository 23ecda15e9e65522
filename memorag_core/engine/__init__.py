"""The facade, and how it makes contexts."""

from memorag_core.engine.memorag import MemoRAG
from memorag_core.engine.places import Places

__all__ = ["MemoRAG", "Places"]
