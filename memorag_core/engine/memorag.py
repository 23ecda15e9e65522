"""MemoRAG, the one facade: memorize → recall → retrieve → answer | summarize, in that order.

A context is read once into a memory and an index, and kept in the store. For a question, the memory recalls clues;
question and clues retrieve evidence from the raw text; a generator answers from the evidence, with citations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from memorag_core.config import MAX_EVIDENCE_TOKENS, MAX_HITS, Profile, Settings
from memorag_core.context.corpus import Context
from memorag_core.context.edits import Contents, follow, remove_document
from memorag_core.context.files import info_of, verify_chunks, verify_document, verify_documents
from memorag_core.context.shared import open_store
from memorag_core.context.survey import Survey, survey
from memorag_core.engine.memorizer import Memorizer
from memorag_core.ingest import Reading, check_size
from memorag_core.query.query import MAX_WORDS, Query, check_question, check_range, split_ids
from memorag_core.query.scope import describe
from memorag_core.runtime import Runtime
from memorag_core.text.ids import qualify
from memorag_core.types import (
    EVERYTHING,
    Answer,
    Chunk,
    Clue,
    ContextInfo,
    Document,
    OnProgress,
    OnReady,
    OnText,
    Passage,
    Scope,
    Task,
    ignore_progress,
    ignore_ready,
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
        self.store = open_store(self.settings)
        self.shared = shared or Runtime(self.settings, say)
        self.weights = self.shared.weights
        self.memorizer = Memorizer(self.store, self.shared, self.settings.max_characters)

    def memorize(
        self,
        documents: Sequence[Document],
        name: str | None = None,
        on_progress: OnProgress = ignore_progress,
        on_ready: OnReady = ignore_ready,
    ) -> ContextInfo:
        """Read documents into a stored context; a context of the same texts and models is returned at once.

        The context can be searched and answered from as soon as it is indexed; its memory is made behind questions.
        What was interrupted goes on at the last finished batch.

        Args:
            documents: in the order to remember them; see `ingest` for files and folders.
            name: the id wanted; without it one is made from the title.
            on_progress: hears of every step, in this thread; may raise `Cancelled`.
            on_ready: hears once the context can be searched, in this thread.

        Raises:
            InputError: nothing to read, too much, or a name that is taken (`ContextExists`).
            StoreError: the store cannot be written; nothing is kept of a failed attempt.
            ModelUnavailable: weights that cannot be had.
        """
        return self.memorizer.memorize(Contents(tuple(documents)), name, on_progress, on_ready)

    def add(
        self,
        context_id: str,
        documents: Sequence[Document],
        on_progress: OnProgress = ignore_progress,
        on_ready: OnReady = ignore_ready,
    ) -> ContextInfo:
        """Add documents behind those of a context, which keeps its id; what it holds is not read again.

        A text that it holds already is not added again (`cached` where none was new), so adding may be tried again.
        What was read from the same place before is replaced under its id, and told in the document's notice.
        Questions under way end with the texts they began with; a copy under another name stays as it is. As in
        `memorize`, the memory follows: until it is made, the context is searched with the new texts and has none.

        Raises:
            InputError: nothing to add, too much together, or no such context (`UnknownContext`).
            StoreError: the context cannot be read or written; it stays what it was.
        """
        check_size(documents, self.settings.max_characters)
        change = partial(follow, readings=[Reading(list(documents))])
        return self.memorizer.change(context_id, change, on_progress, on_ready)

    def remove(
        self,
        context_id: str,
        document_id: str,
        on_progress: OnProgress = ignore_progress,
        on_ready: OnReady = ignore_ready,
    ) -> ContextInfo:
        """Remove a document from a context; only what stands behind it is read again. Raises what `add` raises."""
        change = partial(remove_document, document_id=document_id, context_id=context_id)
        return self.memorizer.change(context_id, change, on_progress, on_ready)

    def complete(self, context_id: str, on_progress: OnProgress = ignore_progress) -> ContextInfo:
        """Make the memory of a context that has none yet, or wait while others make it; return at once if it is there.

        Raises:
            UnknownContext: there is none of that id, or it was forgotten meanwhile.
            StoreError: it cannot be read or written; it stays what it was.
        """
        return self.memorizer.complete(context_id, on_progress)

    def recall(self, context_id: str | Sequence[str], question: str, scope: Scope = EVERYTHING) -> tuple[Clue, ...]:
        """Clues from memory, cleaned and checked against the text: spans of it, and questions to look up.

        `context_id` may be several, here and below: asked as one, with documents' ids of the form `CONTEXT/DOCUMENT`.
        A `scope` leaves some of their documents and pages; `InputError` where it leaves nothing.
        """
        check_question(question)
        with self._open_query(context_id, scope=scope) as query:
            return query.recall(question)

    def retrieve(
        self,
        context_id: str | Sequence[str],
        question: str,
        clues: Sequence[Clue] = (),
        k: int | None = None,
        tokens: int | None = None,
        scope: Scope = EVERYTHING,
    ) -> tuple[Passage, ...]:
        """Evidence for the question and its clues: rankings fused, each passage once, best first.

        Args:
            clues: from `recall`; a verified one weighs more than an unverified one, the question most.
            k: the most passages to return, 1 to 1,000; without it the budget decides.
            tokens: the most tokens of evidence, counted by the generator; without it the settings' budget.
            scope: as in `recall`.
        """
        check_question(question)
        check_range("k", k, MAX_HITS)
        check_range("tokens", tokens, MAX_EVIDENCE_TOKENS)
        with self._open_query(context_id, scope=scope) as query:
            return query.retrieve(question, clues, k, tokens)

    def answer(
        self,
        context_id: str | Sequence[str],
        question: str,
        task: Task = "memorag",
        on_text: OnText = ignore_text,
        use_memory_answer: bool = False,
        scope: Scope = EVERYTHING,
    ) -> Answer:
        """Answer a question, by `memorag` (clues, evidence, answer) or `qa` (from one memory alone, without evidence).

        `on_text` gets the text in pieces; `use_memory_answer` looks for evidence with the memory's own answer too;
        `scope` as in `recall`.
        """
        check_question(question)
        with self._open_query(context_id, on_text, scope) as query:
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

    def describe_scope(self, context_id: str | Sequence[str], scope: Scope) -> str:
        """What a scope leaves of contexts, in words; loads none. Raises `InputError` where it leaves nothing."""
        ids = split_ids(context_id)
        held = [(one, document) for one in ids for document in self.store.manifest(one).documents]
        names = [qualify(one, document.id) if len(ids) > 1 else document.id for one, document in held]
        return describe(scope, [d.model_copy(update={"id": name}) for name, (_, d) in zip(names, held, strict=True)])

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
        return self.memorizer.context(context_id)

    @property
    def profile(self) -> Profile:
        """The models in use."""
        return self.shared.profile

    def advise(self) -> str | None:
        """What could write better answers than the generator, said once; None where there is nothing to say."""
        return self.shared.advise()

    @contextmanager
    def _open_query(
        self, context_id: str | Sequence[str], on_text: OnText = ignore_text, scope: Scope = EVERYTHING
    ) -> Iterator[Query]:
        shared, ids = self.shared, split_ids(context_id)
        with shared.device_queue.slot():
            contexts = tuple(map(self.context, ids))
            yield Query(contexts, shared.components, self.profile, self.settings, shared.recall_cache, on_text, scope)
