"""How soon a text can be asked, and how soon its memory is there: seconds, and ratios to reading it with plain tools.

Run: python -m benchmarks.ready FILE [RUNS]

The plain tools are sentence-transformers and faiss with the same chunks. Runs are interleaved, with the models loaded;
medians are told. Beside the wall clock stand the CPU seconds of this process, which other processes disturb less.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.context.encode import cut
from memorag_core.types import ContextInfo

Seconds = tuple[float, float]


class Stopwatch:
    """Wall and CPU seconds since it was made."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self) -> Seconds:
        return time.perf_counter() - self.wall, time.process_time() - self.cpu


def memorize(engine: MemoRAG, text: str) -> tuple[Seconds, Seconds]:
    """How long it takes until the text can be asked, and until its memory is made."""
    ready: list[Seconds] = []
    watch = Stopwatch()

    def tell(_: ContextInfo) -> None:
        ready.append(watch.read())

    info = engine.memorize([from_text(text, "text")], on_ready=tell)
    done = watch.read()
    engine.forget(info.id)
    return ready[0], done


def index_plainly(engine: MemoRAG, chunks: list[str]) -> Seconds:
    """How long sentence-transformers and faiss take for the same chunks."""
    import faiss
    from sentence_transformers import SentenceTransformer

    source = engine.weights.source(engine.profile.embedder)
    encoder = SentenceTransformer(str(source), device="cpu")
    encoder.encode("warm")
    watch = Stopwatch()
    vectors = encoder.encode(chunks, normalize_embeddings=True)
    faiss.IndexFlatIP(vectors.shape[1]).add(vectors)
    return watch.read()


def main() -> None:
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as folder:
        engine = MemoRAG(Settings.of(profile="tiny", store=Path(folder)))
        engine.forget(engine.memorize([from_text(text[:2000], "warm")]).id)
        parts = engine.shared.components
        chunks = [chunk.indexed for chunk in cut(from_text(text, "text"), parts.chunk_tokens, parts.retriever.count)]
        report(runs, lambda: memorize(engine, text), lambda: index_plainly(engine, chunks))


def report(runs: int, ours: Callable[[], tuple[Seconds, Seconds]], plain: Callable[[], Seconds]) -> None:
    """Measure in turn, and print medians."""
    times: dict[str, list[Seconds]] = {"evidence": [], "memory": [], "plain tools": []}
    for _ in range(runs):
        evidence, memory = ours()
        times["evidence"].append(evidence)
        times["memory"].append(memory)
        times["plain tools"].append(plain())
    for name, seconds in times.items():
        wall, cpu = (statistics.median(column) for column in zip(*seconds, strict=True))
        print(f"{name:12} {wall:7.2f} s   {cpu:7.2f} s of CPU")
    pairs = zip(times["evidence"], times["plain tools"], strict=True)
    print(f"evidence, as a multiple of the plain tools: {statistics.median(a[0] / b[0] for a, b in pairs):.2f}")


if __name__ == "__main__":
    main()
