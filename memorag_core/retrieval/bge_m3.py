"""BGE-M3 with all its outputs: dense and lexical search, their best re-scored with one vector a token.

Chen et al., "M3-Embedding", 2024; the weights of the three scores are those of the model's card.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_array, vstack

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.concurrency.device_memory import in_halves
from memorag_core.concurrency.lru import LRUCache
from memorag_core.concurrency.progress import ProgressScope
from memorag_core.errors import ModelUnavailable, require
from memorag_core.models import hub
from memorag_core.models.hub import loading
from memorag_core.retrieval.base import Allowed, Finder, Hit, Index, Retriever, split_allowed
from memorag_core.retrieval.fusion import merge_by_score
from memorag_core.retrieval.vectors import VectorIndex, Vectors
from memorag_core.retrieval.windows import count_tokens, windows

FILE = "bge_m3.safetensors"
HEADS = ("colbert_linear.pt", "sparse_linear.pt")
DENSE, LEXICAL, MULTI = 0.4, 0.2, 0.4
BATCH = 16
KEPT_QUERIES = 8
RESCORED = 100
TINIEST = np.float32(1e-12)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Of some texts: unit vectors (texts, dimension), lexical weights (texts, vocabulary), token vectors of each."""

    dense: Vectors
    lexical: Any
    multi: list[Vectors]


class BgeM3Retriever(Retriever["BgeM3Index"]):
    """`BAAI/bge-m3`, or a folder in its layout, by FlagEmbedding; the score is the weighted sum of the three."""

    def __init__(self, source: str | Path, device: str, model_id: str | None = None, revision: str = "") -> None:
        """Load the model, in half precision on CUDA.

        Raises:
            ModelUnavailable: it cannot be had, or the folder lacks the lexical or the multi-vector head.
            MissingExtra: FlagEmbedding or faiss is not installed.
        """
        require("faiss", "cpu")
        flag = require("FlagEmbedding", "bge-m3")
        missing = [head for head in HEADS if Path(source).is_dir() and not (Path(source) / head).is_file()]
        if missing:
            raise ModelUnavailable(
                f"The folder '{source}' has no {' and no '.join(missing)}: it is not BGE-M3. Use the retriever 'dense'."
            )
        with loading(source):
            model = flag.BGEM3FlagModel(str(source), use_fp16=device.startswith("cuda"), devices=device)
        self.tokenizer, self.model = model.tokenizer, model.model.to(device).eval()
        self.device = device
        self.model_id = model_id or str(source)
        self.revision = revision or hub.commit(str(source))
        self._encoded: LRUCache[str, Encoded] = LRUCache(KEPT_QUERIES)

    @property
    def max_tokens(self) -> int:
        special: int = self.tokenizer.num_special_tokens_to_add()
        positions = self.model.config.max_position_embeddings - self.model.config.pad_token_id - 1
        return int(min(self.tokenizer.model_max_length, positions)) - special

    def count(self, texts: Sequence[str]) -> list[int]:
        return count_tokens(self.tokenizer, texts)

    def index(self, texts: Sequence[str], progress: ProgressScope) -> BgeM3Index:
        parts: list[Encoded] = []
        for start in range(0, len(texts), BATCH):
            raise_if_cancelled()
            parts += in_halves(texts[start : start + BATCH], lambda batch: [self._encode(batch)])
            progress.step(min(start + BATCH, len(texts)), len(texts))
        encoded = _join(parts) if parts else self._encode_nothing()
        return BgeM3Index(self, VectorIndex(encoded.dense, self.device).tensors() | _quantize(encoded))

    def load(self, folder: Path) -> BgeM3Index:
        return BgeM3Index(self, load_file(folder / FILE))

    def merge(self, indexes: Sequence[BgeM3Index], sizes: Sequence[int]) -> MergedBgeM3:
        return MergedBgeM3(self, indexes, sizes)

    def settings(self) -> dict[str, Any]:
        return {"outputs": ["dense", "lexical", "multi"]}

    def encode_query(self, query: str) -> Encoded:
        """A query; of one beyond `max_tokens` the mean, maximum and all vectors of its parts. The latest are kept."""
        return self._encoded.get(query) or self._encoded.put(query, self._encode_query(query))

    def _encode_query(self, query: str) -> Encoded:
        parts = windows(query, self.max_tokens, self.count)
        encoded = _join([self._encode(parts[start : start + BATCH]) for start in range(0, len(parts), BATCH)])
        mean = encoded.dense.mean(0, keepdims=True)
        lexical = csr_array(encoded.lexical.max(axis=0).reshape(1, -1))
        return Encoded(mean / np.linalg.norm(mean), lexical, [np.concatenate(encoded.multi)])

    def _encode(self, texts: Sequence[str]) -> Encoded:
        import torch

        inputs = self.tokenizer(list(texts), padding=True, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            given = self.model(
                inputs, return_dense=True, return_sparse=True, return_colbert_vecs=True, return_sparse_embedding=True
            )
        dense, lexical, multi = (
            given[name].float().cpu().numpy() for name in ("dense_vecs", "sparse_vecs", "colbert_vecs")
        )
        lengths = (inputs["attention_mask"].sum(1) - 1).tolist()  # [CLS] has no token vector
        return Encoded(dense, csr_array(lexical), [row[:n] for row, n in zip(multi, lengths, strict=True)])

    def _encode_nothing(self) -> Encoded:
        config = self.model.config
        return Encoded(np.zeros((0, config.hidden_size), np.float32), csr_array((0, config.vocab_size)), [])


def _join(parts: Sequence[Encoded]) -> Encoded:
    return Encoded(
        np.concatenate([part.dense for part in parts]),
        csr_array(vstack([part.lexical for part in parts])),
        [vectors for part in parts for vectors in part.multi],
    )


def _quantize(encoded: Encoded) -> dict[str, NDArray[Any]]:
    """What is kept beside the dense vectors: lexical weights by text, and token vectors in int8, a scale for each."""
    tokens = np.concatenate([np.zeros_like(encoded.dense[:0]), *encoded.multi])
    scales = np.abs(tokens).max(axis=1, keepdims=True, initial=TINIEST) / np.float32(127)
    return {
        "weights": encoded.lexical.data.astype(np.float32),
        "words": encoded.lexical.indices,
        "rows": encoded.lexical.indptr,
        "vocabulary": np.array([encoded.lexical.shape[1]]),
        "tokens": np.round(tokens / scales).astype(np.int8),
        "scales": scales,
        "borders": np.cumsum([0, *map(len, encoded.multi)]),
    }


class BgeM3Index(Index):
    """The best of dense and of lexical search, ranked by all three scores."""

    def __init__(self, retriever: BgeM3Retriever, tensors: dict[str, NDArray[Any]]) -> None:
        self.retriever = retriever
        self.tensors = tensors
        self.nearest = VectorIndex.of(tensors, retriever.device)
        self.lexical = csr_array(
            (tensors["weights"], tensors["words"], tensors["rows"]),
            shape=(len(tensors["vectors"]), int(tensors["vocabulary"][0])),
        )

    def search(self, queries: Sequence[str], k: int, allowed: Allowed = None) -> list[list[Hit]]:
        return [self.find(self.retriever.encode_query(query), k, allowed) for query in queries]

    def save(self, folder: Path) -> None:
        save_file(self.tensors, folder / FILE)

    def find(self, query: Encoded, k: int, allowed: Allowed = None) -> list[Hit]:
        """The best `k` texts, of those allowed, for a query that is encoded."""
        most = max(k, RESCORED)
        lexical = (self.lexical @ query.lexical.T).toarray()[:, 0]
        if allowed is not None:
            lexical = lexical * allowed
        best = np.argsort(-lexical, kind="stable")[:most]
        near = {hit.chunk for hit in self.nearest.search(query.dense, most, allowed)[0]}
        found = sorted(near.union(best[lexical[best] > 0].tolist()))
        dense = self.tensors["vectors"][found].astype(np.float32) @ query.dense[0]
        multi = [self._late(query.multi[0], text) for text in found]
        scores = DENSE * dense + LEXICAL * lexical[found] + MULTI * np.array(multi)
        hits = [Hit(text, float(score)) for text, score in zip(found, scores, strict=True)]
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk))[:k]

    def _late(self, query: Vectors, text: int) -> float:
        """Late interaction: the mean over the query's vectors of the cosine with the nearest of the text's."""
        start, end = self.tensors["borders"][text : text + 2]
        tokens = self.tensors["tokens"][start:end] * self.tensors["scales"][start:end]
        return float((query @ tokens.T).max(axis=1).mean())


class MergedBgeM3(Finder):
    """Several indexes; a query is encoded once."""

    def __init__(self, retriever: BgeM3Retriever, indexes: Sequence[BgeM3Index], sizes: Sequence[int]) -> None:
        self.retriever = retriever
        self.indexes = indexes
        self.sizes = sizes

    def search(self, queries: Sequence[str], k: int, allowed: Allowed = None) -> list[list[Hit]]:
        parts = list(zip(self.indexes, split_allowed(allowed, self.sizes), strict=True))
        encoded = map(self.retriever.encode_query, queries)
        found = ([index.find(query, k, own) for index, own in parts] for query in encoded)
        return [merge_by_score(rankings, self.sizes, k) for rankings in found]
