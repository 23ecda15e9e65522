"""Dense retrieval: unit vectors of any sentence-transformers model, or of another encoder, and faiss."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.concurrency.journal import Form
from memorag_core.concurrency.lru import LRUCache
from memorag_core.concurrency.progress import ProgressScope
from memorag_core.errors import require
from memorag_core.models import hub
from memorag_core.models.hub import loading
from memorag_core.retrieval.base import Allowed, Finder, Hit, Index, Retriever, encode_missing, split_allowed
from memorag_core.retrieval.encoder_layout import Kind
from memorag_core.retrieval.encoders import open_encoder
from memorag_core.retrieval.fusion import merge_by_score
from memorag_core.retrieval.vectors import VectorIndex, Vectors
from memorag_core.retrieval.windows import windows

VECTORS = "vectors.safetensors"
TINIEST = 1e-30
KEPT_QUERIES = 64
ROW: Form[NDArray[Any]] = Form("vector", lambda row: row.tobytes(), lambda kept: np.frombuffer(kept, np.float32))
NAMES: dict[Kind, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""What models call the instructions before a text of each kind."""
PUBLISHED_PROMPTS = (
    (re.compile(r"bge-(small|base|large)-en"), {"query": "Represent this sentence for searching relevant passages: "}),
    (re.compile(r"bge-(small|base|large)-zh"), {"query": "为这个句子生成表示以用于检索相关文章："}),
    (re.compile(r"\be5-(small|base|large)(-v2)?\Z"), {"query": "query: ", "document": "passage: "}),
)
"""By model id: instructions that stand in the models' cards, not in their configurations."""


class VectorRetriever(Retriever["DenseIndex"]):
    """Texts and queries as unit vectors of one encoder; the score is their cosine."""

    batch = 16
    """How many texts are encoded at once."""

    def __init__(self, model_id: str, revision: str, device: str, prompts: Mapping[str, str | None]) -> None:
        """Take the encoder's name, where vectors are searched, and the instructions that it wants before texts."""
        self.model_id = model_id
        self.revision = revision
        self.device = device
        self.prompts = prompts
        self._encoded: LRUCache[str, NDArray[Any]] = LRUCache(KEPT_QUERIES)

    @abstractmethod
    def encode(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """Unit vectors (texts, dimension), float32, of texts that fit, each with the instruction of its kind."""

    @abstractmethod
    def room(self, kind: Kind) -> int:
        """The tokens of text that fit beside the instruction and special tokens."""

    @property
    def max_tokens(self) -> int:
        return self.room("document")

    def prompt(self, kind: Kind) -> str:
        """What stands before a text of this kind."""
        return next((self.prompts[name] for name in NAMES[kind] if name in self.prompts), None) or ""

    def index(self, texts: Sequence[str], progress: ProgressScope) -> DenseIndex:
        return self._make_index(self._rows(texts, progress))

    def update(self, index: DenseIndex, old: Sequence[str], new: Sequence[str], progress: ProgressScope) -> DenseIndex:
        """Encode only the texts that are not among the old ones."""
        known: dict[str, NDArray[Any]] = dict(zip(old, index.nearest.tensors()["vectors"], strict=True))
        return self._make_index(encode_missing(known, new, lambda missing: self._rows(missing, progress)))

    def load(self, folder: Path) -> DenseIndex:
        return DenseIndex(self, VectorIndex.of(load_file(folder / VECTORS), self.device))

    def merge(self, indexes: Sequence[DenseIndex], sizes: Sequence[int]) -> MergedDense:
        return MergedDense(self, [index.nearest for index in indexes], sizes)

    def settings(self) -> dict[str, Any]:
        prompt = self.prompt("document")
        return {"prompt": prompt} if prompt else {}

    def encode_queries(self, queries: Sequence[str]) -> Vectors:
        """Unit vectors (queries, dimension), float32; the latest are kept, as a query searches several indexes."""
        known = {query: vector for query in queries if (vector := self._encoded.get(query)) is not None}
        if missing := [query for query in dict.fromkeys(queries) if query not in known]:
            known |= zip(missing, self._encode_queries(missing), strict=True)
        return np.stack([self._encoded.put(query, known[query]) for query in queries])

    def _encode_queries(self, queries: Sequence[str]) -> Vectors:
        """The unit vectors of queries; of one beyond the model's limit, the mean of its parts."""
        room = self.room("query")
        parts = [windows(query, room, self.count) for query in queries]
        vectors = self.encode([text for part in parts for text in part], "query")
        borders = np.cumsum([0, *map(len, parts)])
        means = np.stack([vectors[start:end].mean(0) for start, end in pairwise(borders)])
        return np.asarray(means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), TINIEST), np.float32)

    def _rows(self, texts: Sequence[str], progress: ProgressScope) -> list[NDArray[Any]]:
        """The unit vector of each text, float32; those of like length are encoded together."""
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        rows: dict[int, NDArray[Any]] = {}
        for start in range(0, len(texts), self.batch):
            raise_if_cancelled()
            batch = order[start : start + self.batch]
            made = progress.journal.finish(ROW, [texts[number] for number in batch], self._encode_batch)
            rows |= zip(batch, made, strict=True)
            progress.step(len(rows), len(texts))
        return [rows[number] for number in range(len(texts))]

    def _encode_batch(self, texts: Sequence[str]) -> list[NDArray[Any]]:
        return list(np.asarray(self.encode(texts, "document"), np.float32))

    def _make_index(self, rows: Sequence[NDArray[Any]]) -> DenseIndex:
        vectors = np.stack(rows) if rows else np.zeros((0, 1))
        return DenseIndex(self, VectorIndex(np.asarray(vectors, np.float32), self.device))


class DenseRetriever(VectorRetriever):
    """Vectors of a sentence-transformers model."""

    def __init__(
        self,
        source: str | Path,
        device: str,
        model_id: str | None = None,
        revision: str = "",
        kept: Path | None = None,
    ) -> None:
        """Load an encoder from a folder or a hub id; `kept` is that of `open_encoder`.

        Raises:
            ModelUnavailable: where neither has it.
            MissingExtra: faiss is not installed.
        """
        require("faiss", "cpu")
        with loading(source):
            self.encoder = open_encoder(source, device, kept)
        name = model_id or str(source)
        prompts = self.encoder.prompts
        said = prompts if any(prompts.values()) else find_prompts(name)
        super().__init__(name, revision or hub.commit(str(source)), device, said)

    def count(self, texts: Sequence[str]) -> list[int]:
        return self.encoder.count(texts)

    def encode(self, texts: Sequence[str], kind: Kind) -> Vectors:
        return self.encoder.encode(texts, self.prompt(kind), kind)

    def room(self, kind: Kind) -> int:
        return self.encoder.max_tokens - self.encoder.special_tokens - self.count([self.prompt(kind)])[0]


def find_prompts(model_id: str) -> dict[str, str]:
    """The instructions that the cards of some models tell, by the model's name."""
    return next((prompts for pattern, prompts in PUBLISHED_PROMPTS if pattern.search(model_id)), {})


class DenseIndex(Index):
    """Vectors of the texts, and the encoder of queries."""

    def __init__(self, retriever: VectorRetriever, nearest: VectorIndex) -> None:
        self.retriever = retriever
        self.nearest = nearest

    def search(self, queries: Sequence[str], k: int, allowed: Allowed = None) -> list[list[Hit]]:
        return self.nearest.search(self.retriever.encode_queries(queries), k, allowed) if queries else []

    def save(self, folder: Path) -> None:
        save_file(self.nearest.tensors(), folder / VECTORS)


class MergedDense(Finder):
    """The vectors of several indexes; a query is encoded once."""

    def __init__(self, retriever: VectorRetriever, parts: Sequence[VectorIndex], sizes: Sequence[int]) -> None:
        self.retriever = retriever
        self.parts = parts
        self.sizes = sizes

    def search(self, queries: Sequence[str], k: int, allowed: Allowed = None) -> list[list[Hit]]:
        vectors = self.retriever.encode_queries(queries) if queries else np.zeros((0, 1), np.float32)
        parts = zip(self.parts, split_allowed(allowed, self.sizes), strict=True)
        found = zip(*(part.search(vectors, k, own) for part, own in parts), strict=True)
        return [merge_by_score(rankings, self.sizes, k) for rankings in found]
