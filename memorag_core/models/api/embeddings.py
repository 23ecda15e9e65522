"""An embedder behind an OpenAI-compatible API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memorag_core.errors import EmbeddingError
from memorag_core.models.api.server import ApiServer, Limits

PATIENT = Limits(retries=6)
"""A long document takes many requests, and what limits their rate passes."""
PROBE = "A"


class EmbeddingModel:
    """Vectors of texts by one model, all of one dimension: that of the first."""

    def __init__(self, name: str, limits: Limits = PATIENT) -> None:
        """Ask for one vector, to know the dimension.

        Raises:
            MissingExtra: the `openai` package is not installed.
            InputError: a variable that the endpoint needs is not set.
            EmbeddingError: there is no vector to be had.
        """
        self.model_id = name
        self._server = ApiServer(name, limits, EmbeddingError)
        self.dimension = self._ask([PROBE]).shape[1]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (texts, dimension) of some texts, all in one request.

        Raises:
            EmbeddingError: no vectors, or others than expected; says why and what to do.
        """
        vectors = self._ask(texts)
        if vectors.shape[1] != self.dimension:
            raise self._server.failure(
                f"gives vectors of {vectors.shape[1]} numbers now, and gave {self.dimension} before (another model "
                "under this name? What is memorized has to be memorized again with it)"
            )
        return vectors

    def _ask(self, texts: Sequence[str]) -> NDArray[np.float32]:
        filled = [text or " " for text in texts]  # servers refuse an empty text
        try:
            with self._server.client() as client:
                reply = client.embeddings.create(model=self._server.model, input=filled, encoding_format="float")
        except Exception as error:  # whatever the client, its transport or JSON raise
            raise self._server.translate(error) from None  # the library's own error may quote the request with its key
        return self._read(reply, len(texts))

    def _read(self, reply: Any, count: int) -> NDArray[np.float32]:
        """Check what came and make it unit vectors."""
        try:
            rows = [one.embedding for one in sorted(reply.data, key=lambda one: one.index)]
            vectors = np.array(rows, dtype=np.float32)
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        except (AttributeError, TypeError, ValueError):
            raise self._server.failure("sent no vectors that can be read") from None
        if len(vectors) != count:
            raise self._server.failure(f"sent {len(vectors)} vectors for {count} texts")
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            raise self._server.failure("sent vectors that point nowhere")
        return np.asarray(vectors / lengths, dtype=np.float32)
