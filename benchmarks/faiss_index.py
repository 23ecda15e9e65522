"""Flat against approximate search over clustered unit vectors: seconds to build, queries a second, recall at 10.

Run: python -m benchmarks.faiss_index [--count 100000 1000000] [--dimension 384] [--queries 1000] [--noise 2]
     [--device cuda]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from memorag_core.retrieval import vectors as nearest
from memorag_core.retrieval.vectors import VectorIndex, Vectors

K = 10
CLUSTER = 100
T = TypeVar("T")


def clustered(count: int, dimension: int, queries: int, noise: float) -> tuple[Vectors, Vectors]:
    """Unit vectors around random centres, 100 or so each, `noise` times as far from them as those from 0; queries
    between a vector and noise."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((max(1, count // CLUSTER), dimension), dtype=np.float32)
    vectors = centres[random.integers(len(centres), size=count)]
    vectors += noise * random.standard_normal((count, dimension), dtype=np.float32)
    asked = vectors[random.integers(count, size=queries)]
    asked = asked + random.standard_normal(asked.shape, dtype=np.float32)
    return _unit(vectors), _unit(asked)


def _unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def compare(count: int, arguments: argparse.Namespace) -> None:
    """Print a row for the flat index, then one for the approximate."""
    vectors, queries = clustered(count, arguments.dimension, arguments.queries, arguments.noise)
    exact: list[set[int]] = []
    for kind, many in (("flat", count + 1), ("cells", 0)):
        nearest.MANY = many
        index, building = timed(lambda: VectorIndex(vectors, arguments.device))
        tensors = index.tensors()
        del index
        index, loading = timed(lambda kept=tensors: VectorIndex.of(kept, arguments.device))  # type: ignore[misc]
        index.search(queries[:1], K)
        found, searching = timed(lambda kept=index: kept.search(queries, K))  # type: ignore[misc]
        _, one_by_one = timed(lambda kept=index: [kept.search(q[None], K) for q in queries[:100]])  # type: ignore[misc]
        hits = [{hit.chunk for hit in row} for row in found]
        exact = exact or hits
        recall = np.mean([len(own & best) / K for own, best in zip(hits, exact, strict=True)])
        print(
            f"{count:>9} {kind:5} {arguments.device:6} build {building:6.1f} s  load {loading:5.1f} s  "
            f"{len(queries) / searching:8.0f} queries/s  single {one_by_one * 10:6.2f} ms  recall@10 {recall:.3f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--noise", type=float, default=2.0)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    for count in arguments.count:
        compare(count, arguments)


if __name__ == "__main__":
    main()
