"""MemoRAG, the one facade: memorize → recall → retrieve → answer | summarize, in that order.

A context is read once into a memory and an index, and kept in the store. For a question, the memory recalls clues;
question and clues retrieve evidence from the raw text; a generator answers from the evidence, with citations.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memorag_core.chunking import split
from memorag_core.clues import cite, clean
from memorag_core.config import MAX_EVIDENCE_TOKENS, MAX_HITS, Profile, Settings
from memorag_core.context import Context, info_of, read_chunks, read_documents, write_texts
from memorag_core.errors import IncompatibleContext, InputError, MemoRAGError
from memorag_core.ingest import check_size
from memorag_core.manifest import Manifest
from memorag_core.models.registry import Weights, choose_profile
from memorag_core.prompts import prompts_for, render_answer, render_summary
from memorag_core.retrieval.base import Fused, fuse
from memorag_core.store import ContextStore
from memorag_core.types import (
    Answer,
    Chunk,
    Clue,
    ContextInfo,
    Document,
    OnProgress,
    Passage,
    Progress,
    Task,
    ignore_progress,
)

if TYPE_CHECKING:
    from memorag_core.generation.base import Generator
    from memorag_core.memory import MemoryModel
    from memorag_core.retrieval.base import Retriever

CLUE_WEIGHTS = {True: 0.7, False: 0.35}
ANSWER_TOKENS = 64
INDEX_SHARE = 0.15


@dataclass(frozen=True)
class _Parts:
    """The loaded models and what they decide of a context's encoding."""

    memory: MemoryModel
    retriever: Retriever
    generator: Generator
    recipe: dict[str, Any]


class MemoRAG:
    """Long-document memory over one store. Cheap to make: models load when first needed, contexts when first asked.

    Safe to share between threads; model work is done one piece at a time.

    >>> engine = MemoRAG(Settings.of(profile="tiny"))                                # doctest: +SKIP
    >>> info = engine.memorize([from_text("It rained in Oslo on Monday.")])          # doctest: +SKIP
    >>> engine.answer(info.id, "Where did it rain?").citations[0].quote              # doctest: +SKIP
    'It rained in Oslo on Monday.'
    """

    def __init__(self, settings: Settings | None = None, say: Callable[[str], None] = lambda _: None) -> None:
        """Take settings, and a function that hears what takes long (loading, fetching)."""
        self.settings = settings or Settings.of()
        self.store = ContextStore(self.settings.store)
        self.weights = Weights(self.settings, say)
        self._warm: OrderedDict[str, Context] = OrderedDict()
        self._working = threading.RLock()

    def memorize(
        self,
        documents: Sequence[Document],
        name: str | None = None,
        on_progress: OnProgress = ignore_progress,
    ) -> ContextInfo:
        """Read documents into a stored context; a context of the same texts and models is returned at once.

        Args:
            documents: in the order to remember them; see `ingest` for files and folders.
            name: the id wanted; without it one is made from the title.
            on_progress: hears of every step, in this thread; may raise `Cancelled`.

        Raises:
            InputError: nothing to read, too much, or a name that is taken (`ContextExists`).
            StoreError: the store cannot be written; nothing is kept of a failed attempt.
            ModelUnavailable: weights that cannot be had.
        """
        check_size(documents, self.settings.max_characters)
        with self._working:
            parts = self._parts
            key = _key(documents, parts.recipe)
            with self.store.writing(key) as draft:
                if (stored := self._already(key, name)) is not None:
                    return stored
                started = time.monotonic()
                manifest = self._encode(tuple(documents), key, draft, on_progress)
                manifest = manifest.model_copy(update={"encode_seconds": round(time.monotonic() - started, 3)})
                context_id = self.store.publish(draft, manifest, name)
        return info_of(context_id, self.store.manifest(context_id))

    def recall(self, context_id: str, question: str) -> tuple[Clue, ...]:
        """Clues from memory, cleaned and checked against the text: spans of it, and questions to look up."""
        _check_question(question)
        context = self.context(context_id)
        with self._working:
            spans, questions = self._parts.memory.recall(context.memory, question)
        return clean({"span": spans, "question": questions}, question, context.bags)

    def retrieve(
        self,
        context_id: str,
        question: str,
        clues: Sequence[Clue] = (),
        k: int | None = None,
        tokens: int | None = None,
    ) -> tuple[Passage, ...]:
        """Evidence for the question and its clues: rankings fused, each passage once, best first.

        Args:
            clues: from `recall`; a verified one weighs more than an unverified one, the question most.
            k: the most passages to return, 1 to 1,000; without it the budget decides.
            tokens: the most tokens of evidence, counted by the generator; without it the settings' budget.
        """
        _check_question(question)
        _check_range("k", k, MAX_HITS)
        _check_range("tokens", tokens, MAX_EVIDENCE_TOKENS)
        context = self.context(context_id)
        queries = [question, *(clue.text for clue in clues)]
        weights = [1.0, *(CLUE_WEIGHTS[clue.verified] for clue in clues)]
        with self._working:
            ranked = fuse(context.index.search(queries, max(k or 0, self.settings.hits)), weights)
            return self._within_budget(context, ranked[:k], queries, tokens or self.settings.evidence_tokens)

    def answer(self, context_id: str, question: str, task: Task = "memorag") -> Answer:
        """Answer a question, by `memorag` (clues, evidence, answer) or `qa` (from memory alone, without evidence)."""
        if task == "qa":
            _check_question(question)
            context = self.context(context_id)
            with self._working:
                return Answer(self._parts.memory.answer(context.memory, question), task)
        clues = self.recall(context_id, question)
        evidence = self.retrieve(context_id, question, clues)
        prompt = render_answer(prompts_for(question), question, [passage.chunk.text for passage in evidence])
        return self._written(context_id, prompt, question, (clues, evidence), "memorag", ANSWER_TOKENS)

    def summarize(self, context_id: str, focus: str | None = None, words: int = 80) -> Answer:
        """Key points recalled from memory, evidence for each, one text of about `words` words."""
        _check_range("words", words, 2000)
        context = self.context(context_id)
        prompts = prompts_for(context.chunks[0].text)
        with self._working:
            points = self._parts.memory.key_points(context.memory, prompts, focus)
        clues = clean({"span": points}, focus or "", context.bags)
        evidence = self.retrieve(context_id, focus or context.manifest.title, clues)
        prompt = render_summary(prompts, [passage.chunk.text for passage in evidence], focus, words)
        return self._written(context_id, prompt, focus or "", (clues, evidence), "summarize", 2 * words)

    def contexts(self) -> list[ContextInfo]:
        """All stored contexts that can be read, in order of their ids."""
        return [info for context_id in self.store.ids() if (info := self._info(context_id)) is not None]

    def damaged(self) -> dict[str, str]:
        """Contexts whose manifest cannot be read, with what is wrong and what to do."""
        problems = {}
        for context_id in self.store.ids():
            try:
                self.store.manifest(context_id)
            except MemoRAGError as error:
                problems[context_id] = str(error)
        return problems

    def info(self, context_id: str) -> ContextInfo:
        """One stored context."""
        return info_of(context_id, self.store.manifest(context_id))

    def forget(self, context_id: str) -> None:
        """Remove a context, damaged or not."""
        self.store.forget(context_id)
        self._warm.pop(context_id, None)

    def documents(self, context_id: str) -> tuple[Document, ...]:
        """The texts of a context, without loading any model."""
        folder = self.store.folder(context_id)
        return read_documents(folder, Manifest.read(folder))

    def chunks(self, context_id: str) -> tuple[Chunk, ...]:
        """The retrieval chunks of a context, without loading any model."""
        return read_chunks(self.store.folder(context_id), self.documents(context_id))

    def context(self, context_id: str) -> Context:
        """A context ready to be asked: from those kept warm, else verified and loaded.

        Raises:
            UnknownContext: there is none of that id.
            DamagedContext, IncompatibleContext: what is wrong and what to do.
        """
        with self._working:
            manifest = self.store.manifest(context_id)
            context = self._warm.pop(context_id, None)
            if context is None or context.manifest != manifest:
                context = self._load(context_id, manifest)
            self._warm[context_id] = context
            while len(self._warm) > self.settings.warm_contexts:
                self._warm.popitem(last=False)
            return context

    @cached_property
    def profile(self) -> Profile:
        """The models in use."""
        return choose_profile(self.settings)

    @cached_property
    def _parts(self) -> _Parts:
        from memorag_core.generation import open_generator
        from memorag_core.memory import MEMORIES
        from memorag_core.retrieval import open_retriever

        memory = MEMORIES[self.profile.memory].open(self.profile, self.weights)
        retriever = open_retriever(self.profile, self.weights)
        generator = open_generator(self.profile, self.weights, memory.lm)
        recipe = {
            "memory": {"kind": memory.kind, "model": memory.lm.model_id, "revision": memory.lm.revision}
            | memory.settings(),
            "embedder": {"model": retriever.model_id, "revision": retriever.revision} | retriever.settings(),
            "chunk_tokens": min(self.profile.chunk, retriever.max_tokens),
        }
        return _Parts(memory, retriever, generator, recipe)

    def _already(self, key: str, name: str | None) -> ContextInfo | None:
        """The stored context of that key, under the name wanted."""
        holder = self.store.check_name(name, key) if name else None
        if holder is None:
            found = self.store.find(key)
            if not found:
                return None
            holder = self.store.copy(found[0], name) if name else found[0]
        return info_of(holder, self.store.manifest(holder), cached=True)

    def _encode(self, documents: tuple[Document, ...], key: str, draft: Path, on_progress: OnProgress) -> Manifest:
        """Chunk, index and memorize into the draft folder."""
        parts = self._parts
        chunks = tuple(
            Chunk(document.id, start, end, document.text[start:end])
            for document in documents
            for start, end in split(document.text, parts.recipe["chunk_tokens"], parts.retriever.count)
        )
        entries = write_texts(draft, documents, chunks)
        indexing = _stage("indexing", on_progress, 0.0, INDEX_SHARE)
        parts.retriever.index([chunk.text for chunk in chunks], indexing).save(draft)
        memory = parts.memory.memorize(documents, _stage("memorizing", on_progress, INDEX_SHARE, 1.0))
        parts.memory.save(memory, draft)
        return Manifest(
            key=key,
            title=documents[0].title,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            recipe=parts.recipe,
            documents=entries,
            chunks=len(chunks),
            memory_tokens=memory.state.tokens,
            encode_seconds=0.0,
            files={},
        )

    def _load(self, context_id: str, manifest: Manifest) -> Context:
        folder = self.store.folder(context_id)
        manifest.verify(folder)
        parts = self._parts
        if manifest.recipe != json.loads(json.dumps(parts.recipe)):
            raise IncompatibleContext(_mismatch(context_id, manifest.recipe, parts.recipe))
        documents = read_documents(folder, manifest)
        chunks = read_chunks(folder, documents)
        return Context(context_id, manifest, documents, chunks, parts.retriever.load(folder), parts.memory.load(folder))

    def _within_budget(
        self, context: Context, ranked: Sequence[Fused], queries: Sequence[str], tokens: int
    ) -> tuple[Passage, ...]:
        """The best passages that fit, at least one."""
        counts = self._parts.generator.count([context.chunks[item.chunk].text for item in ranked])
        kept: list[Passage] = []
        used = 0
        for item, count in zip(ranked, counts, strict=True):
            if kept and used + count > tokens:
                continue
            used += count
            found_by = tuple(queries[number] for number in item.found_by)
            kept.append(Passage(context.chunks[item.chunk], item.score, found_by))
        return tuple(kept)

    def _written(
        self,
        context_id: str,
        prompt: str,
        question: str,
        ground: tuple[tuple[Clue, ...], tuple[Passage, ...]],
        task: Task,
        max_new_tokens: int,
    ) -> Answer:
        """The generator's text for a prompt, with citations from the evidence."""
        clues, evidence = ground
        context = self.context(context_id)
        with self._working:
            text = self._parts.generator.generate(prompt, max_new_tokens)
        return Answer(text, task, cite(text, question, evidence, context.documents), clues, evidence)

    def _info(self, context_id: str) -> ContextInfo | None:
        try:
            return self.info(context_id)
        except MemoRAGError:
            return None  # damaged ones are told by `damaged`


def _key(documents: Sequence[Document], recipe: dict[str, Any]) -> str:
    """The digest of all that decides a context's encoding."""
    texts = [[d.id, d.title, hashlib.sha256(d.text.encode()).hexdigest()] for d in documents]
    return hashlib.sha256(json.dumps([texts, recipe], sort_keys=True).encode()).hexdigest()


def _stage(name: str, on_progress: OnProgress, start: float, end: float) -> Callable[[int, int], None]:
    """Steps of one stage as progress of the whole job, never going back."""

    def on_step(done: int, total: int) -> None:
        on_progress(Progress(name, done, total, start + (end - start) * done / max(total, 1)))

    return on_step


def _check_question(question: str) -> None:
    if not question.strip():
        raise InputError("The question is empty; ask something about the context.")


def _check_range(name: str, value: int | None, most: int) -> None:
    if value is not None and not 1 <= value <= most:
        raise InputError(f"{name} is {value}; choose a number from 1 to {most:,}.")


def _mismatch(context_id: str, stored: dict[str, Any], used: dict[str, Any]) -> str:
    differing = sorted(part for part in stored.keys() | used.keys() if stored.get(part) != used.get(part))
    details = "; ".join(f"{part}: it has {stored.get(part)}, in use is {used.get(part)}" for part in differing)
    return (
        f"The context '{context_id}' was memorized with other models or settings than those in use ({details}). "
        f"Start with the profile or models it was made with, or memorize its text again under another name."
    )
