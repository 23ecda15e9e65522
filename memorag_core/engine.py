"""MemoRAG, the one facade: memorize → recall → retrieve → answer | summarize, in that order.

A context is read once into a memory and an index, and kept in the store. For a question, the memory recalls clues;
question and clues retrieve evidence from the raw text; a generator answers from the evidence, with citations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from memorag_core.concurrency.progress import ProgressScope
from memorag_core.config import MAX_EVIDENCE_TOKENS, MAX_HITS, Profile, Settings
from memorag_core.context.corpus import Context
from memorag_core.context.edits import append_documents, remove_document
from memorag_core.context.encode import encode, key_of
from memorag_core.context.files import info_of, load, verify_chunks, verify_document, verify_documents
from memorag_core.context.manifest import Manifest
from memorag_core.context.store import ContextStore
from memorag_core.context.survey import survey
from memorag_core.errors import UnknownContext
from memorag_core.ingest import check_size
from memorag_core.query.query import MAX_WORDS, Query, check_question, check_range, split_ids
from memorag_core.runtime import Runtime
from memorag_core.types import (
    Answer,
    Chunk,
    Clue,
    ContextInfo,
    Document,
    OnProgress,
    OnText,
    Passage,
    Survey,
    Task,
    ignore_progress,
    ignore_text,
)


class MemoRAG:
    """Long-document memory over one store. Cheap to make: models load when first needed, contexts when first asked.

    Safe to share between threads; model work is done one piece at a time (`concurrency.device_queue`), the tokens of
    all callers together (`models.lm.scheduler`), and can be cancelled (`concurrency.cancellation`). Engines of several
    stores can share their models.

    >>> engine = MemoRAG(Settings.of(profile="tiny"))                                # doctest: +SKIP
    >>> info = engine.memorize([from_text("It rained in Oslo on Monday.")])          # doctest: +SKIP
    >>> engine.answer(info.id, "Where did it rain?").citations[0].quote              # doctest: +SKIP
    'It rained in Oslo on Monday.'
    """

    def __init__(
        self,
        settings: Settings | None = None,
        say: Callable[[str], None] = lambda _: None,
        shared: Runtime | None = None,
    ) -> None:
        """Take settings, a function that hears what takes long (loading, fetching), and another engine's `shared`."""
        self.settings = settings or Settings.of()
        self.store = ContextStore(self.settings.store)
        self.shared = shared or Runtime(self.settings, say)
        self.weights = self.shared.weights

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
        progress = self._begin_progress(on_progress)
        with self.shared.device_queue.slot(patient=True, on_wait=progress.tell_position):
            key = key_of(documents, self.shared.components.recipe)
        with self.store.writing(key) as draft:  # another process may hold this for minutes; questions go on
            if (stored := self._find_stored(key, name)) is not None:
                return stored
            manifest = self._encode(documents, draft, progress)
            context_id = self.store.publish(draft, manifest, name)
        return self.info(context_id)

    def add(
        self, context_id: str, documents: Sequence[Document], on_progress: OnProgress = ignore_progress
    ) -> ContextInfo:
        """Add documents behind those of a context, which keeps its id; what it holds is not read again.

        A text that it holds already is not added again (`cached` where none was new), so adding may be tried again.
        What was read from the same place before is replaced under its id, and told in the document's notice.
        Questions under way end with the texts they began with; a copy under another name stays as it is.

        Raises:
            InputError: nothing to add, too much together, or no such context (`UnknownContext`).
            StoreError: the context cannot be read or written; it stays what it was.
        """
        check_size(documents, self.settings.max_characters)
        return self._change(context_id, lambda held: append_documents(held, documents), on_progress)

    def remove(self, context_id: str, document_id: str, on_progress: OnProgress = ignore_progress) -> ContextInfo:
        """Remove a document from a context; only what stands behind it is read again. Raises what `add` raises."""
        return self._change(context_id, lambda held: remove_document(held, document_id, context_id), on_progress)

    def recall(self, context_id: str | Sequence[str], question: str) -> tuple[Clue, ...]:
        """Clues from memory, cleaned and checked against the text: spans of it, and questions to look up.

        `context_id` may be several, here and below: asked as one, with documents' ids of the form `CONTEXT/DOCUMENT`.
        """
        check_question(question)
        with self._open_query(context_id) as query:
            return query.recall(question)

    def retrieve(
        self,
        context_id: str | Sequence[str],
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
        check_question(question)
        check_range("k", k, MAX_HITS)
        check_range("tokens", tokens, MAX_EVIDENCE_TOKENS)
        with self._open_query(context_id) as query:
            return query.retrieve(question, clues, k, tokens)

    def answer(
        self,
        context_id: str | Sequence[str],
        question: str,
        task: Task = "memorag",
        on_text: OnText = ignore_text,
        use_memory_answer: bool = False,
    ) -> Answer:
        """Answer a question, by `memorag` (clues, evidence, answer) or `qa` (from one memory alone, without evidence).

        `on_text` gets the text in pieces; `use_memory_answer` looks for evidence with the memory's own answer too.
        """
        check_question(question)
        with self._open_query(context_id, on_text) as query:
            return query.answer(question, task, use_memory_answer)

    def summarize(
        self, context_id: str, focus: str | None = None, words: int = 80, on_text: OnText = ignore_text
    ) -> Answer:
        """Key points recalled from memory, evidence for each, one text of about `words` words (1 to 2,000).

        `focus` is a topic to keep to. What is more than the generator is shown at once is summarized in groups first.
        """
        check_range("words", words, MAX_WORDS)
        if focus is not None:
            check_question(focus)
        with self._open_query(context_id, on_text) as query:
            return query.summarize(focus, words)

    def survey(self) -> Survey:
        """All stored contexts: those that are whole, and why the others cannot be used, with what to do."""
        return survey(self.store)

    def contexts(self) -> list[ContextInfo]:
        """All stored contexts that are whole, in order of their ids."""
        return self.survey().contexts

    def damaged(self) -> dict[str, str]:
        """Contexts that cannot be used, with what is wrong and what to do."""
        return self.survey().damaged

    def info(self, context_id: str) -> ContextInfo:
        """One stored context."""
        return info_of(context_id, self.store.manifest(context_id))

    def forget(self, context_id: str) -> None:
        """Remove a context, damaged or not. Questions under way end with the texts they began with."""
        self.store.forget(context_id)
        self.shared.context_cache.drop((self.store.root, context_id))

    def documents(self, context_id: str) -> tuple[Document, ...]:
        """The texts of a context, verified, without loading any model."""
        return self.store.reading(context_id, verify_documents)

    def document(self, context_id: str, document_id: str) -> Document:
        """One text of a context, verified, without loading any model or any other text.

        Raises:
            InputError: the context has no document of that id.
        """
        return self.store.reading(context_id, lambda folder, manifest: verify_document(folder, manifest, document_id))

    def chunks(self, context_id: str) -> tuple[Chunk, ...]:
        """The retrieval chunks of a context, without loading any model."""
        return self.store.reading(context_id, verify_chunks)

    def context(self, context_id: str) -> Context:
        """A context ready to be asked: from those kept warm, else verified and loaded.

        Raises:
            UnknownContext: there is none of that id.
            DamagedContext, IncompatibleContext: what is wrong and what to do.
        """
        with self.shared.device_queue.slot():
            manifest = self.store.manifest(context_id)
            context = self.shared.context_cache.get((self.store.root, context_id))
            if context is None or context.manifest != manifest:
                context = self.store.reading(context_id, self._load)
                self.shared.context_cache.put((self.store.root, context_id), context)
            return context

    @property
    def profile(self) -> Profile:
        """The models in use."""
        return self.shared.profile

    @contextmanager
    def _open_query(self, context_id: str | Sequence[str], on_text: OnText = ignore_text) -> Iterator[Query]:
        shared, ids = self.shared, split_ids(context_id)
        with shared.device_queue.slot():
            contexts = tuple(map(self.context, ids))
            yield Query(contexts, shared.components, self.profile, self.settings, shared.recall_cache, on_text)

    def _encode(
        self, documents: Sequence[Document], draft: Path, progress: ProgressScope, before: Context | None = None
    ) -> Manifest:
        """Encode, one at a time; between the steps, questions that wait are answered."""
        with (
            self.shared.encode_queue.slot(patient=True, on_wait=progress.tell_position),
            self.shared.device_queue.slot(patient=True, on_wait=progress.tell_position),
        ):
            return encode(documents, self.shared.components, draft, progress, before)

    def _begin_progress(self, on_progress: OnProgress) -> ProgressScope:
        """Tell that the models are being loaded; after every later step, those who wait for them have their turn."""
        progress = ProgressScope(on_progress, self.shared.device_queue.yield_slot)
        progress.stage("loading models", 0.0, 0.0).step(0, 1)
        return progress

    def _change(
        self,
        context_id: str,
        change: Callable[[tuple[Document, ...]], tuple[Document, ...]],
        on_progress: OnProgress,
    ) -> ContextInfo:
        """A context with other documents; `change` may raise, which is before a model is loaded."""
        progress = self._begin_progress(on_progress)
        with self.store.changing(context_id):
            held = self.documents(context_id)
            documents = change(held)
            check_size(documents, self.settings.max_characters)
            if documents == held:
                return info_of(context_id, self.store.manifest(context_id), cached=True)
            with self.shared.device_queue.slot(patient=True, on_wait=progress.tell_position):
                before = self.context(context_id)
            documents = change(before.documents)  # it may have been forgotten and memorized anew
            with self.store.writing(key_of(documents, before.manifest.recipe)) as draft:
                manifest = self._encode(documents, draft, progress, before)
                self.store.replace(context_id, draft, manifest, before.manifest)
        return self.info(context_id)

    def _load(self, folder: Path, manifest: Manifest) -> Context:
        components = self.shared.components
        started = time.monotonic()
        context = load(folder, manifest, components)
        seconds = time.monotonic() - started
        self.shared.say(f"loaded {context.id} in {seconds:.3f} s; encoding it took {manifest.encode_seconds:.1f} s")
        return context

    def _find_stored(self, key: str, name: str | None) -> ContextInfo | None:
        """The stored context of that key, under the name wanted."""
        holder = self.store.check_name(name, key) if name else None
        try:
            if holder is None:
                found = self.store.find(key)
                if not found:
                    return None
                holder = self.store.copy(found[0], name, key) if name else found[0]
            manifest = self.store.manifest(holder)
            return info_of(holder, manifest, cached=True) if manifest.key == key else None
        except UnknownContext:
            return None  # forgotten or changed meanwhile: encode it again
