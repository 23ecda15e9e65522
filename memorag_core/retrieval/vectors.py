"""Nearest unit vectors by faiss, on CPU and GPU: exact, and by cells where the context is large."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memorag_core.errors import require
from memorag_core.retrieval.base import Allowed, Hit

MANY = 200_000
"""From so many vectors on, the search is by cells (measured by `benchmarks/faiss_index.py`)."""
CELLS_PER_ROOT = 4
PROBED_SHARE = 1 / 16
TRAINED_ON = 64
AT_ONCE = 1 << 16
"""So many vectors are compared at once where only some may be hits."""

WORKING_BYTES = 1 << 26
"""Of a GPU's memory."""

Vectors = NDArray[np.float32]


class VectorIndex:
    """Search over unit vectors (texts, dimension), kept in float16 precision."""

    def __init__(self, vectors: Vectors, device: str, trained: Mapping[str, NDArray[Any]] | None = None) -> None:
        """Exact below `MANY` vectors; else by cells, as `trained` has them or learned now.

        Raises:
            MissingExtra: faiss is not installed.
        """
        self._stored: dict[str, NDArray[Any]] = {"vectors": vectors.astype(np.float16)}
        rounded = np.ascontiguousarray(self._stored["vectors"], dtype=np.float32)
        if len(rounded) < MANY:
            index = require("faiss", "cpu").IndexFlatIP(rounded.shape[1])
            index.add(rounded)
        else:
            self._stored |= trained or _learn(rounded)
            index = _by_cells(rounded, self._stored["centroids"], self._stored["cells"])
        self._index = _place(index, device)

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[Any]], device: str) -> VectorIndex:
        """From what `tensors` gave."""
        trained = {name: tensors[name] for name in ("centroids", "cells") if name in tensors}
        return cls(tensors["vectors"].astype(np.float32), device, trained)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """What to store: `vectors` float16, and of many the `centroids` float32 and the `cells` int32 they lie in."""
        return self._stored

    def search(self, queries: Vectors, k: int, allowed: Allowed = None) -> list[list[Hit]]:
        """The best `k` of each query (queries, dimension) among those allowed, best first; equal scores in order."""
        if allowed is not None:
            return self._search_some(queries, k, np.flatnonzero(allowed))
        k = min(k, len(self._stored["vectors"]))
        if not k or not len(queries):
            return [[] for _ in queries]
        scores, chunks = self._index.search(np.ascontiguousarray(queries, dtype=np.float32), k)
        return [_hits(*row) for row in zip(chunks, scores, strict=True)]

    def _search_some(self, queries: Vectors, k: int, chunks: NDArray[np.int64]) -> list[list[Hit]]:
        """Compare the queries with these vectors, all of them: the cells that are probed may hold none."""
        parts = (self._stored["vectors"][chunks[at : at + AT_ONCE]] for at in range(0, len(chunks), AT_ONCE))
        scores = np.concatenate([queries[:, :0], *(queries @ part.astype(np.float32).T for part in parts)], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return [_hits(chunks[best], row[best]) for best, row in zip(order, scores, strict=True)]


def _hits(chunks: NDArray[np.int64], scores: Vectors) -> list[Hit]:
    """Hits in order; faiss writes -1 where the cells it probed hold too few."""
    hits = [Hit(int(chunk), float(score)) for chunk, score in zip(chunks, scores, strict=True) if chunk >= 0]
    return sorted(hits, key=lambda hit: (-hit.score, hit.chunk))


def _learn(vectors: Vectors) -> dict[str, NDArray[Any]]:
    """Centroids by k-means on a sample, and the cell of each vector."""
    faiss = require("faiss", "cpu")
    cells = CELLS_PER_ROOT * isqrt(len(vectors))
    means = faiss.Kmeans(vectors.shape[1], cells, niter=10, spherical=True, max_points_per_centroid=TRAINED_ON)
    means.train(vectors)
    return {"centroids": means.centroids, "cells": means.assign(vectors)[1].astype(np.int32)}


def _by_cells(vectors: Vectors, centroids: Vectors, cells: NDArray[np.int32]) -> Any:
    faiss = require("faiss", "cpu")
    coarse = faiss.IndexFlatIP(vectors.shape[1])
    coarse.add(np.ascontiguousarray(centroids))
    index = faiss.IndexIVFFlat(coarse, vectors.shape[1], len(centroids), faiss.METRIC_INNER_PRODUCT)
    wide = np.ascontiguousarray(cells, dtype=np.int64)
    index.add_core(len(vectors), faiss.swig_ptr(vectors), None, faiss.swig_ptr(wide))
    index.nprobe = max(1, round(len(centroids) * PROBED_SHARE))
    return index


def _place(index: Any, device: str) -> Any:
    """The index on the GPU of `device`, where it is one and this faiss can use it."""
    faiss = require("faiss", "cpu")
    if not device.startswith("cuda") or not hasattr(faiss, "StandardGpuResources"):
        return index
    number = int(device.partition(":")[2] or 0)
    return faiss.index_cpu_to_gpu(_share_resources(), number, index)


@cache
def _share_resources() -> Any:
    """What indexes on a GPU work with, one for all: each would take one and a half GiB of it for itself."""
    resources = require("faiss", "cpu").StandardGpuResources()
    resources.setTempMemory(WORKING_BYTES)
    return resources
