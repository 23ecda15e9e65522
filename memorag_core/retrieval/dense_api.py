"""Dense retrieval by an embedder behind an OpenAI-compatible API."""

from __future__ import annotations

from collections.abc import Sequence

from memorag_core.models.api.chat import count_bytes
from memorag_core.models.api.embeddings import EmbeddingModel
from memorag_core.retrieval.dense import VectorRetriever, find_prompts
from memorag_core.retrieval.encoder_layout import Kind
from memorag_core.retrieval.vectors import Vectors

TOKENS = 512
"""The longest text: an API does not tell, and most embedders read at least so much."""


class ApiRetriever(VectorRetriever):
    """Vectors of an API. Its dimension stands for the revision, which an API does not tell."""

    batch = 64

    def __init__(self, embedder: EmbeddingModel, device: str) -> None:
        super().__init__(embedder.model_id, f"dimension {embedder.dimension}", device, find_prompts(embedder.model_id))
        self.embedder = embedder

    def count(self, texts: Sequence[str]) -> list[int]:
        return count_bytes(texts)

    def encode(self, texts: Sequence[str], kind: Kind) -> Vectors:
        prompt = self.prompt(kind)
        return self.embedder.embed([f"{prompt}{text}" for text in texts])

    def room(self, kind: Kind) -> int:
        return TOKENS - self.count([self.prompt(kind)])[0]
