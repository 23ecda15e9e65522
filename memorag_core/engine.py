"""MemoRAG, the one facade: memorize → recall → retrieve → answer | summarize, in that order.

A context is read once into a memory and an index, and kept in the store. For a question, the memory recalls clues;
question and clues retrieve evidence from the raw text; a generator answers from the evidence, with citations.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import cached_property

from memorag_core.clues import cite, clean
from memorag_core.config import MAX_EVIDENCE_TOKENS, MAX_HITS, Profile, Settings
from memorag_core.context import Context, encode, info_of, key_of, load, read_chunks, read_documents
from memorag_core.errors import InputError, MemoRAGError
from memorag_core.ingest import check_size
from memorag_core.manifest import Manifest
from memorag_core.models.registry import Weights, choose_profile
from memorag_core.parts import Parts, open_parts
from memorag_core.prompts import prompts_for, render_answer, render_summary
from memorag_core.recent import Recent
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
    Task,
    ignore_progress,
)

CLUE_WEIGHTS = {True: 0.7, False: 0.35}
ANSWER_TOKENS = 48
KEPT_RECALLS = 256


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
        self._say = say
        self.store = ContextStore(self.settings.store)
        self.weights = Weights(self.settings, say)
        self._warm: Recent[str, Context] = Recent(self.settings.warm_contexts)
        self._recalled: Recent[tuple[str, str], tuple[Clue, ...]] = Recent(KEPT_RECALLS)
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
            key = key_of(documents, self._parts.recipe)
            with self.store.writing(key) as draft:
                if (stored := self._already(key, name)) is not None:
                    return stored
                manifest = encode(documents, self._parts, draft, on_progress)
                context_id = self.store.publish(draft, manifest, name)
        return info_of(context_id, self.store.manifest(context_id))

    def recall(self, context_id: str, question: str) -> tuple[Clue, ...]:
        """Clues from memory, cleaned and checked against the text: spans of it, and questions to look up."""
        _check_question(question)
        context = self.context(context_id)
        with self._working:
            if (recalled := self._recalled.get((context.manifest.key, question))) is not None:
                return recalled
            spans, questions = self._parts.memory.recall(context.memory, question)
            clues = clean({"span": spans, "question": questions}, question, context.bags)
            return self._recalled.put((context.manifest.key, question), clues)

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
        weights = [1.0, *(CLUE_WEIGHTS[clue.verified] / len(clues) for clue in clues)]
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
        topic = focus or next((clue.text for clue in clues), context.manifest.title)
        evidence = self.retrieve(context_id, topic, [clue for clue in clues if clue.text != topic])
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
        self._warm.drop(context_id)

    def documents(self, context_id: str) -> tuple[Document, ...]:
        """The texts of a context, without loading any model."""
        return read_documents(self.store.folder(context_id), self.store.manifest(context_id))

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
            context = self._warm.get(context_id)
            if context is None or context.manifest != manifest:
                context = self._warm.put(context_id, self._loaded(context_id, manifest))
            return context

    @cached_property
    def profile(self) -> Profile:
        """The models in use."""
        return choose_profile(self.settings)

    @cached_property
    def _parts(self) -> Parts:
        return open_parts(self.profile, self.weights)

    def _loaded(self, context_id: str, manifest: Manifest) -> Context:
        parts = self._parts
        started = time.monotonic()
        context = load(self.store.folder(context_id), manifest, parts)
        seconds = time.monotonic() - started
        self._say(f"loaded {context_id} in {seconds:.3f} s; encoding it took {manifest.encode_seconds:.1f} s")
        return context

    def _already(self, key: str, name: str | None) -> ContextInfo | None:
        """The stored context of that key, under the name wanted."""
        holder = self.store.check_name(name, key) if name else None
        if holder is None:
            found = self.store.find(key)
            if not found:
                return None
            holder = self.store.copy(found[0], name) if name else found[0]
        return info_of(holder, self.store.manifest(holder), cached=True)

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


def _check_question(question: str) -> None:
    if not question.strip():
        raise InputError("The question is empty; ask something about the context.")


def _check_range(name: str, value: int | None, most: int) -> None:
    if value is not None and not 1 <= value <= most:
        raise InputError(f"{name} is {value}; choose a number from 1 to {most:,}.")
