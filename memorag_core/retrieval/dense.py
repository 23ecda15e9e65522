"""Dense retrieval: any sentence-transformers model, and faiss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from memorag_core.errors import require
from memorag_core.models.registry import loading
from memorag_core.retrieval.base import Hit, Index, Retriever
from memorag_core.stopping import check
from memorag_core.types import OnStep

VECTORS = "vectors.safetensors"
BATCH = 16
SPECIAL_TOKENS = 2

Vectors = NDArray[np.float32]


class DenseRetriever(Retriever):
    """Texts and queries as unit vectors of one encoder; the score is their cosine."""

    def __init__(self, source: str | Path, device: str, model_id: str | None = None, revision: str = "") -> None:
        """Load an encoder from a folder or a hub id.

        Raises:
            ModelUnavailable: where neither has it.
            MissingExtra: faiss is not installed.
        """
        require("faiss", "cpu")
        from sentence_transformers import SentenceTransformer

        with loading(source):
            self.encoder = SentenceTransformer(str(source), device=device)
        self.model_id = model_id or str(source)
        loaded: Any = self.encoder[0].auto_model
        self.revision = revision or getattr(loaded.config, "_commit_hash", None) or ""

    @property
    def max_tokens(self) -> int:
        return int(self.encoder.max_seq_length or 512) - SPECIAL_TOKENS

    def count(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        encoded = self.encoder.tokenizer(list(texts), add_special_tokens=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def index(self, texts: Sequence[str], on_step: OnStep) -> DenseIndex:
        return DenseIndex(self, np.stack(self._rows(texts, on_step)))

    def update(self, index: Index, old: Sequence[str], new: Sequence[str], on_step: OnStep) -> DenseIndex:
        """Encodes only the texts that are not among the old ones."""
        known = dict(zip(old, cast(DenseIndex, index).vectors, strict=True))
        missing = [text for text in dict.fromkeys(new) if text not in known]
        known |= zip(missing, self._rows(missing, on_step), strict=True)
        return DenseIndex(self, np.stack([known[text] for text in new]))

    def load(self, folder: Path) -> DenseIndex:
        return DenseIndex(self, load_file(folder / VECTORS)["vectors"].astype(np.float32))

    def encode_queries(self, queries: Sequence[str]) -> Vectors:
        """Unit vectors (queries, dimension), float32; a query beyond `max_tokens` keeps its beginning."""
        return self._encode(queries, query=True)

    def _rows(self, texts: Sequence[str], on_step: OnStep) -> list[Vectors]:
        """The unit vector of each text, float32."""
        rows: list[Vectors] = []
        for start in range(0, len(texts), BATCH):
            check()
            rows += list(self._encode(texts[start : start + BATCH], query=False))
            on_step(len(rows), len(texts))
        return rows

    def _encode(self, texts: Sequence[str], query: bool) -> Vectors:
        encode = self.encoder.encode_query if query else self.encoder.encode_document
        vectors: Any = encode(list(texts), normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True)
        return np.asarray(vectors, dtype=np.float32)


class DenseIndex(Index):
    """Exact search over unit vectors (texts, dimension); stored in float16."""

    def __init__(self, retriever: DenseRetriever, vectors: Vectors) -> None:
        faiss = require("faiss", "cpu")
        self.retriever = retriever
        self.vectors = vectors
        self.flat = faiss.IndexFlatIP(vectors.shape[1])
        self.flat.add(np.ascontiguousarray(vectors))

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        scores, chunks = self.flat.search(self.retriever.encode_queries(queries), min(k, len(self.vectors)))
        return [
            [Hit(int(chunk), float(score)) for chunk, score in zip(*row, strict=True)]
            for row in zip(chunks, scores, strict=True)
        ]

    def save(self, folder: Path) -> None:
        save_file({"vectors": self.vectors.astype(np.float16)}, folder / VECTORS)
