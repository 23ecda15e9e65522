"""The facade, and how it makes contexts."""

from memorag_core.engine.memorag import MemoRAG

__all__ = ["MemoRAG"]
