"""One question's path over one context: recall → retrieve → answer | summarize.

The context is fixed when the inquiry begins, so whatever others memorize or forget meanwhile, clues, passages and
citations of one answer come from the same texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memorag_core.citations import cite
from memorag_core.clues import clean, merged
from memorag_core.errors import InputError
from memorag_core.looked_at import looked_at
from memorag_core.pages import page_of
from memorag_core.prompts import prompts_for, render_answer
from memorag_core.reranking import reranked
from memorag_core.search import Found, search
from memorag_core.summaries import TOKENS_A_WORD, Wanted, condensed, in_turn
from memorag_core.support import unsupported
from memorag_core.types import Answer, Chunk, Clue, OnText, Passage, Task, ignore_text

if TYPE_CHECKING:
    from memorag_core.config import Profile, Settings
    from memorag_core.context import Context
    from memorag_core.parts import Parts
    from memorag_core.recent import Recent

MAX_QUESTION = 2000
MAX_WORDS = 2000


@dataclass(frozen=True)
class Inquiry:
    """What is needed to ask one context; used by one thread at a time."""

    context: Context
    parts: Parts
    profile: Profile
    settings: Settings
    recalled: Recent[tuple[str, str], tuple[Clue, ...]]
    on_text: OnText = ignore_text

    def recall(self, question: str) -> tuple[Clue, ...]:
        """What the memory model looks at and what it says, checked; what was recalled for a question before is kept."""
        key = (self.context.manifest.key, question)
        if (known := self.recalled.get(key)) is not None:
            return known
        seen = looked_at(self.context, question)
        said = self._generated(question) if self.profile.recall == "both" or not seen else ()
        return self.recalled.put(key, merged(seen, said))

    def _generated(self, question: str) -> tuple[Clue, ...]:
        spans, questions = self.parts.memory.recall(self.context.memory, question)
        return clean({"span": spans, "question": questions}, question, self.context.texts)

    def retrieve(
        self, question: str, clues: Sequence[Clue], k: int | None = None, tokens: int | None = None
    ) -> tuple[Passage, ...]:
        """Passages found by the question and its clues, best first."""
        found = search(self.context, question, clues, max(k or 0, self.settings.hits))
        if self.parts.reranker:
            found = reranked(found, question, self.context.chunks, self.parts.reranker)
        return self._within_budget(found[:k], tokens or self.settings.evidence_tokens)

    def answer(self, question: str, task: Task = "memorag", use_memory_answer: bool = False) -> Answer:
        """Clues, evidence, and the generator's answer from that evidence; by `qa`, the memory's own without evidence.

        `use_memory_answer` searches with the memory's own answer too.
        """
        if task == "qa":
            return self._from_memory(question)
        clues = self.recall(question)
        if use_memory_answer:
            guess = self.parts.memory.answer(self.context.memory, question, self.profile.answer)
            clues = (*clean({"answer": guess}, question, self.context.texts), *clues)
        evidence = self.retrieve(question, clues)
        prompts = prompts_for(question, self.parts.templates)
        prompt = render_answer(prompts, question, [passage.chunk.text for passage in evidence])
        return self._written(prompt, "memorag", self.profile.answer, question, (clues, evidence))

    def _from_memory(self, question: str) -> Answer:
        """The memory model's own answer, without evidence."""
        text = self.parts.memory.answer(self.context.memory, question, self.profile.answer)
        self.on_text(text)
        return Answer(text, "qa")

    def summarize(self, focus: str | None, words: int) -> Answer:
        """Key points recalled from memory, evidence for each, and one text about them."""
        prompts = prompts_for(self.context.chunks[0].text, self.parts.templates)
        points = self.parts.memory.key_points(self.context.memory, prompts, focus)
        clues = clean({"span": points}, focus or "", self.context.texts)
        topics = [*filter(None, [focus]), *(clue.text for clue in clues)] or [self.context.manifest.title]
        wanted = Wanted(prompts, focus, words, self.settings.evidence_tokens)
        tokens = wanted.room * wanted.parts(sum(len(document.text) for document in self.context.documents))
        found = [self.retrieve(topic, (), tokens=tokens) for topic in topics]
        evidence = in_turn(found, tokens, self.parts.generator)
        texts = condensed([chunk.text for chunk in self._in_order(evidence)], wanted, self.parts.generator)
        prompt = wanted.asked(texts)
        return self._written(prompt, "summarize", words * TOKENS_A_WORD, focus or "", (clues, evidence))

    def _in_order(self, passages: Sequence[Passage]) -> list[Chunk]:
        """Their chunks as they stand in the documents."""
        order = {document.id: number for number, document in enumerate(self.context.documents)}
        chunks = (passage.chunk for passage in passages)
        return sorted(chunks, key=lambda chunk: (order[chunk.document_id], chunk.start))

    def _within_budget(self, found: Sequence[Found], tokens: int) -> tuple[Passage, ...]:
        """The best passages that fit, at least one."""
        pages = {document.id: document.pages for document in self.context.documents}
        chunks = [self.context.chunks[item.chunk] for item in found]
        kept: list[Passage] = []
        used = 0
        counts = self.parts.generator.count([chunk.text for chunk in chunks])
        for item, chunk, count in zip(found, chunks, counts, strict=True):
            if kept and used + count > tokens:
                continue
            used += count
            kept.append(Passage(chunk, item.score, item.found_by, page_of(pages[chunk.document_id], chunk.start)))
        return tuple(kept)

    def _written(
        self,
        prompt: str,
        task: Task,
        max_new_tokens: int,
        question: str,
        ground: tuple[tuple[Clue, ...], tuple[Passage, ...]],
    ) -> Answer:
        """The generator's text, with citations from the evidence, checked against it."""
        clues, evidence = ground
        text = self.parts.generator.generate(prompt, max_new_tokens, self.on_text)
        citations = cite(text, question, evidence, self.context.texts)
        assert all(self.context.texts.at(citation.place) == citation.quote for citation in citations)
        open_claims = unsupported(text, question, [passage.chunk.text for passage in evidence])
        supported = bool(text.strip()) and not open_claims
        return Answer(text, task, citations, clues, evidence, supported, open_claims)


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
