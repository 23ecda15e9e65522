"""What all systems share: the models of a run, and one context with its indexes, each made when first needed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from memorag_core.concurrency.progress import ProgressScope
from memorag_core.config import NO_MEMORY
from memorag_core.context.encode import cut
from memorag_core.engine import MemoRAG
from memorag_core.text.source_text import SourceText
from memorag_core.types import Chunk, Document, OnProgress, ignore_progress

if TYPE_CHECKING:
    from memorag_core.generation import Generator
    from memorag_core.models.lm.key_values import KeyValues
    from memorag_core.models.lm.language_model import LanguageModel
    from memorag_core.retrieval.base import Index, Retriever, X

CORE = Path(__file__).resolve().parents[1]
ROOM_TO_ASK = 512
NO_MATTER = {"store", "models_dir", "device", "warm_mib", "queue", "patience", "memory"}


@dataclass(frozen=True)
class Bench:
    """The engine under evaluation, and its models for the baselines."""

    engine: MemoRAG

    @cached_property
    def retriever(self) -> Retriever[Index]:
        """The engine's embedder."""
        from memorag_core.retrieval import open_retriever

        return open_retriever(replace(self.engine.profile, retriever="dense"), self.engine.weights)

    @cached_property
    def generator(self) -> Generator:
        """The engine's generator; its tokens are the unit of all budgets."""
        from memorag_core.generation import open_generator

        return open_generator(self.engine.profile.generator_model, self.engine.weights)

    @property
    def reader(self) -> LanguageModel | None:
        """The generator's own weights; those behind an API are not here."""
        return getattr(self.generator, "lm", None)

    @cached_property
    def sources(self) -> str:
        """A digest of the code."""
        return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(CORE.rglob("*.py")))).hexdigest()

    def recipe(self, asks_memory: bool) -> str:
        """Fingerprint of code, models and settings; part of a cached record's key.

        The kind of memory decides nothing for a system that does not ask it.
        """
        profile, settings = self.engine.profile, self.engine.settings
        names = filter(None, (profile.memory_model, profile.embedder, profile.reranker, profile.entailment))
        models = list(map(self.engine.weights.revision, names))
        used = asdict(profile if asks_memory else replace(profile, memory=NO_MEMORY))
        chosen = settings.model_dump(mode="json", exclude=NO_MATTER)
        return json.dumps([self.sources, used, models, chosen], sort_keys=True)

    @property
    def chunk_tokens(self) -> int:
        """The most tokens of a passage, as the engine cuts them."""
        return min(self.engine.profile.chunk, self.retriever.longest_passage)


@dataclass(frozen=True)
class Case:
    """One context of an evaluation set."""

    bench: Bench
    name: str
    text: str
    on_progress: OnProgress = field(default=ignore_progress)

    @cached_property
    def digest(self) -> str:
        """Of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def document(self) -> Document:
        """The context as the engine memorizes it."""
        return Document("text", self.name, self.text)

    @cached_property
    def context_id(self) -> str:
        """The context in the engine's store, memorized and loaded."""
        context_id = self.bench.engine.memorize([self.document], on_progress=self.on_progress).id
        return self.bench.engine.context(context_id).id

    @cached_property
    def chunks(self) -> list[Chunk]:
        """The passages that all baselines rank: the engine's."""
        return cut(self.document, self.bench.chunk_tokens, self.bench.retriever.count)

    @cached_property
    def dense(self) -> Index:
        """The chunks by the embedder."""
        return self._index(self.bench.retriever)

    @cached_property
    def bm25(self) -> Index:
        """The chunks by their words."""
        from memorag_core.retrieval.bm25 import Bm25Retriever

        return self._index(Bm25Retriever())

    @cached_property
    def read(self) -> KeyValues | None:
        """The whole text read by the generator; None where its window is too small or its weights are not here."""
        lm = self.bench.reader
        room = lm.window - ROOM_TO_ASK if lm else 0
        if lm is None or lm.count([self.text])[0] > room - self.bench.engine.profile.answer:
            return None
        return lm.remember(self.text, self._stage("reading").step)

    @cached_property
    def texts(self) -> SourceText:
        """The document and its chunks, to look words up in."""
        return SourceText([self.document], self.chunks)

    def _index(self, retriever: Retriever[X]) -> X:
        return retriever.index([chunk.indexed for chunk in self.chunks], self._stage("indexing"))

    def _stage(self, name: str) -> ProgressScope:
        return ProgressScope(self.on_progress).stage(f"{name} {self.name}:", 0.0, 0.0)
