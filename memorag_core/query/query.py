"""One question's path over one context, or several: recall → retrieve → answer | summarize.

The contexts are fixed when the query begins, so whatever others memorize or forget meanwhile, clues, passages and
citations of one answer come from the same texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from memorag_core.context.corpus import Corpus, memories_of, merge
from memorag_core.errors import InputError, MemoryNotReady
from memorag_core.query.answerable import UNLIKELY, rate, rate_passages
from memorag_core.query.citations import cite, link_claims, quote_place
from memorag_core.query.clues import clean_recall, merge_clues
from memorag_core.query.evidence import date_words, gather
from memorag_core.query.extract import Excerpt, extract_answer, extract_summary, join_sentences
from memorag_core.query.grounding import ShownPassage
from memorag_core.query.recall import open_clues, recall_by_attention
from memorag_core.query.scope import allow_chunks, select_texts
from memorag_core.query.search import rerank, search
from memorag_core.query.second_opinion import judge
from memorag_core.query.summarize import TOKENS_A_WORD, SummaryRequest, interleave, map_reduce
from memorag_core.text.prompts import prompts_for, render_answer
from memorag_core.types import (
    EVERYTHING,
    Answer,
    Attended,
    Chunk,
    Clue,
    OnText,
    Passage,
    Recalled,
    Recollection,
    Scope,
    Task,
    ignore_text,
)

if TYPE_CHECKING:
    from memorag_core.components import Components
    from memorag_core.concurrency.lru import LRUCache
    from memorag_core.config import Profile, Settings
    from memorag_core.context.corpus import Context
    from memorag_core.retrieval.base import Allowed
    from memorag_core.text.source_text import SourceText

MAX_QUESTION = 2000
MAX_WORDS = 2000
MAX_CONTEXTS = 16


@dataclass(frozen=True)
class Query:
    """A question's path needs these: contexts to ask, models, settings. One thread at a time uses a `Query`."""

    contexts: tuple[Context, ...]
    components: Components
    profile: Profile
    settings: Settings
    recall_cache: LRUCache[Recalled, Recollection]
    on_text: OnText = ignore_text
    scope: Scope = EVERYTHING

    @property
    def without_memory(self) -> bool:
        """Whether the memory of a context is not made yet."""
        return any(context.memory is None for context in self.contexts)

    @cached_property
    def corpus(self) -> Corpus:
        """Merge the contexts into the one corpus that is searched."""
        return merge(self.contexts, self.components)

    @cached_property
    def allowed(self) -> Allowed:
        """Which chunks the scope leaves. Raises `InputError` where it leaves none."""
        return allow_chunks(self.scope, self.corpus)

    @cached_property
    def texts(self) -> SourceText:
        """The texts in which clues are looked up."""
        return select_texts(self.corpus, self.allowed)

    def recall(self, question: str) -> tuple[Clue, ...]:
        """Recall clues by attention, or by generation where that is wanted or nothing tells what is attended to.

        They are checked against the text, and kept for when the question is asked again.
        """
        key = self._key(question)
        if (known := self.recall_cache.get(key)) is not None:
            return known.clues
        if self.corpus.attention is not None:
            seen = recall_by_attention(self.corpus, question, self.allowed)
        else:
            seen = Recollection(open_clues(self.corpus, self._attend(question), question, self.allowed))
        blind = self.corpus.attention is None and not seen.clues
        said = self._generate_clues(question) if self.profile.recall == "both" or blind else ()
        return self.recall_cache.put(key, replace(seen, clues=merge_clues(seen.clues, said))).clues

    def _key(self, question: str) -> Recalled:
        return question, self.scope, tuple((context.id, context.manifest.seal) for context in self.contexts)

    def _attention(self, question: str, clues: Sequence[Clue]) -> tuple[tuple[int, float], ...]:
        """The attention on passages, where clues come from it."""
        if all(clue.kind != "attended" for clue in clues):
            return ()
        known = self.recall_cache.get(self._key(question))
        return (known or recall_by_attention(self.corpus, question, self.allowed)).attended

    def _attend(self, question: str) -> Iterator[Attended]:
        """What the question attends to in each document of the corpus, as far as the memories tell."""
        for context in self.contexts:
            seen = self.components.memory.attend(context.memory, question) if context.memory else ()
            yield from seen or (Attended() for _ in context.documents)

    def _generate_clues(self, question: str) -> tuple[Clue, ...]:
        clues: tuple[Clue, ...] = ()
        for context in self.contexts:
            if context.memory is None:
                continue
            spans, questions = self.components.memory.recall(context.memory, question, context.documents)
            clues = merge_clues(clues, clean_recall({"span": spans, "question": questions}, question, self.texts))
        return self._keep_borne_out(clues)

    def _keep_borne_out(self, clues: Sequence[Clue]) -> tuple[Clue, ...]:
        """Leave out what the text does not say: of a model that is too small, or of what was not asked perhaps."""
        if self.profile.extracts:
            return tuple(clue for clue in clues if clue.verified)
        return tuple(clue for clue in clues if self.allowed is None or clue.verified or clue.kind == "question")

    def retrieve(
        self, question: str, clues: Sequence[Clue], k: int | None = None, tokens: int | None = None
    ) -> tuple[Passage, ...]:
        """Retrieve passages for the question and its clues, best first, within the budget."""
        broad = self.corpus.surroundings.has_talk and self.components.question_kinds.is_broad(question)
        # To broad questions attention cost evidence at every weight (docs/log.md).
        attended = () if broad else self._attention(question, clues)
        recalled = Recollection(tuple(self._place_inside(clues)), attended, broad)
        found = search(self.corpus, question, recalled, max(k or 0, self.settings.hits), self.allowed)
        if self.components.reranker:
            found = rerank(found, question, self.corpus.chunks, self.components.reranker)
        room, count = tokens or self.settings.evidence_tokens, self.components.generator.count
        return rate_passages(question, gather(found, self.corpus, room, count)[:k], self.corpus)

    def _place_inside(self, clues: Sequence[Clue]) -> list[Clue]:
        """Leave out clues whose place is outside of the scope; a caller may have recalled them without it."""
        if self.allowed is None:
            return list(clues)
        numbers = {clue: self.corpus.chunk_at(clue.place) for clue in clues if clue.place}
        return [clue for clue in clues if (number := numbers.get(clue)) is None or self.allowed[number]]

    def answer(self, question: str, task: Task = "memorag", use_memory_answer: bool = False) -> Answer:
        """Recall clues, retrieve evidence and have the generator answer from it; by `qa`, ask the memory alone.

        `use_memory_answer` searches with the memory's own answer too.
        """
        if task == "qa":
            if self.scope != EVERYTHING:
                raise InputError("Memory alone answers from all that it has read; ask by evidence, or ask all of it.")
            return self._answer_from_memory(question)
        clues = self.recall(question)
        if use_memory_answer:
            clues = (*self._guess_answers(question), *clues)
        evidence = self.retrieve(question, clues)
        if self.profile.extracts:
            found = extract_answer(question, evidence, clues, self.corpus.texts)
            return self._extract(found, "memorag", question, (clues, evidence))
        prompts = prompts_for(question, self.components.templates)
        prompt = render_answer(prompts, question, [date_words(passage.chunk).shown for passage in evidence])
        return self._write(prompt, "memorag", self.profile.answer, question, (clues, evidence))

    def _guess_answers(self, question: str) -> Iterator[Clue]:
        """Ask each memory for its own answer, as a clue to search with."""
        for memory in memories_of(self.contexts):
            guess = self.components.memory.answer(memory, question, self.profile.answer)
            yield from self._keep_borne_out(clean_recall({"answer": guess}, question, self.texts))

    def _answer_from_memory(self, question: str) -> Answer:
        """Answer from the memory alone, without evidence."""
        if len(self.contexts) > 1:
            raise InputError("Memory alone answers for one context: name one, or let evidence be looked for in all.")
        [context] = self.contexts
        if context.memory is None:
            raise MemoryNotReady(
                f"The memory of '{context.id}' is not made yet, so it cannot be asked from memory. Ask for an answer "
                "from evidence (memorag), or wait for its memory."
            )
        text = self.components.memory.answer(context.memory, question, self.profile.answer)
        self.on_text(text)
        return Answer(text, "qa")

    def summarize(self, focus: str | None, words: int) -> Answer:
        """Recall key points from memory, retrieve evidence for each, and write one text about them."""
        [context] = self.contexts
        prompts = prompts_for(context.chunks[0].text, self.components.templates)
        points = "".join(
            self.components.memory.key_points(memory, prompts, focus) for memory in memories_of(self.contexts)
        )
        clues = clean_recall({"span": points}, focus or "", context.texts)
        topics = [*filter(None, [focus]), *(clue.text for clue in clues)] or [context.manifest.title]
        generator = self.components.generator
        wanted = SummaryRequest(prompts, focus, words, self.settings.evidence_tokens)
        tokens = wanted.room * wanted.parts(sum(len(document.text) for document in context.documents))
        found = [self.retrieve(topic, (), tokens=tokens) for topic in topics]
        evidence = interleave(found, tokens, generator.count)
        if self.profile.extracts:
            kept = extract_summary(focus or "", evidence, words, self.corpus.texts)
            return self._extract(kept, "summarize", "", (clues, evidence))
        parts = [date_words(chunk).text for chunk in self._order_chunks(evidence)]
        texts = map_reduce(parts, wanted, generator.count, generator.generate)
        prompt = wanted.render(texts)
        return self._write(prompt, "summarize", words * TOKENS_A_WORD, focus or "", (clues, evidence))

    def _order_chunks(self, passages: Sequence[Passage]) -> list[Chunk]:
        """Return the chunks of passages, in the order of the documents."""
        order = {document.id: number for number, document in enumerate(self.corpus.documents)}
        chunks = (passage.chunk for passage in passages)
        return sorted(chunks, key=lambda chunk: (order[chunk.document_id], chunk.start))

    def _write(
        self,
        prompt: str,
        task: Task,
        max_new_tokens: int,
        question: str,
        ground: tuple[tuple[Clue, ...], tuple[Passage, ...]],
    ) -> Answer:
        """Have the generator write; add citations from the evidence and check every sentence against it."""
        clues, evidence = ground
        text = self.components.generator.generate(prompt, max_new_tokens, self.on_text)
        documents = self.corpus.texts.documents
        shown = [ShownPassage.of(passage.chunk, documents[passage.chunk.document_id].text) for passage in evidence]
        judged = judge(text, question, shown, self.components.entailment)
        quotes = cite(text, question, evidence, self.corpus.texts)
        citations, claims = link_claims(judged, quotes, evidence, self.corpus.texts)
        return self._conclude(Answer(text, task, citations, clues, evidence, claims=claims), question)

    def _extract(
        self,
        extracts: Sequence[Excerpt],
        task: Task,
        question: str,
        ground: tuple[tuple[Clue, ...], tuple[Passage, ...]],
    ) -> Answer:
        """Answer with sentences of the evidence; each is its own quote."""
        text = join_sentences(extracts)
        self.on_text(text)
        citations = tuple(quote_place(extract.place, self.corpus.texts) for extract in extracts)
        claims = tuple(extract.claim(number) for number, extract in enumerate(extracts))
        return self._conclude(Answer(text, task, citations, *ground, claims=claims, extracted=True), question)

    def _conclude(self, answer: Answer, question: str) -> Answer:
        """Add whether all claims are borne out, and how likely the text answers the question."""
        assert all(self.corpus.texts.at(citation.place) == citation.quote for citation in answer.citations)
        supported = bool(answer.claims) and all(claim.support == "borne out" for claim in answer.claims)
        answer = replace(answer, supported=supported, without_memory=self.without_memory)
        if answer.task == "summarize":
            return answer
        answerable = rate(question, answer.evidence, self.corpus)
        return replace(answer, supported=supported and answerable >= UNLIKELY, answerable=answerable)


def split_ids(context_id: str | Sequence[str]) -> list[str]:
    """Return the ids of the contexts to ask, each once. Raises `InputError` where they are none or too many."""
    ids = [context_id] if isinstance(context_id, str) else list(dict.fromkeys(context_id))
    if not 1 <= len(ids) <= MAX_CONTEXTS:
        raise InputError(f"{len(ids)} contexts were named; ask 1 to {MAX_CONTEXTS} of them at once.")
    return ids


def check_question(question: str) -> None:
    """Raise `InputError` where a question or topic is empty or too long."""
    if not question.strip():
        raise InputError("The question or topic is empty; ask something about the context.")
    if len(question) > MAX_QUESTION:
        raise InputError(
            f"The question or topic has {len(question):,} characters; the limit is {MAX_QUESTION:,}. Ask a shorter "
            "one; to bring in a long text, memorize it."
        )


def check_range(name: str, value: int | None, most: int) -> None:
    """Raise `InputError` where a number is given that is not from 1 to `most`."""
    if value is not None and not 1 <= value <= most:
        raise InputError(f"{name} is {value}; choose a number from 1 to {most:,}.")
