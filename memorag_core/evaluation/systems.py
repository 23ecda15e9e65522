"""What is compared: one small class a system. A new one: a class here, and its place in `SYSTEMS`.

Baselines rank the same chunks as the engine, and answer with its generator and prompt; ours are asked through the
engine's public methods alone.
"""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import ClassVar

from memorag_core.config import MAX_EVIDENCE_TOKENS
from memorag_core.evaluation.case import Case
from memorag_core.query.budget import fit_budget
from memorag_core.retrieval.base import Index
from memorag_core.retrieval.fusion import Ranking, reciprocal_rank_fusion
from memorag_core.text.chunking import Span
from memorag_core.text.prompts import prompts_for, render_answer
from memorag_core.types import Answer, Chunk, Clue

POOL = 100
TOP_UP = 2


@dataclass(frozen=True, slots=True)
class Evidence:
    """Passages of the context, best first, and the clues that led to them."""

    spans: tuple[Span, ...]
    clues: tuple[Clue, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and how many tokens of text or memory it was made from."""

    answer: Answer
    tokens: int


class System(ABC):
    """One way to answer questions of a context.

    `recalls` says whether it recalls clues, `remembers` whether it asks the memory for more than clues, `cites` whether
    its answers have citations.
    """

    name: ClassVar[str]
    finds: ClassVar[bool] = False
    answers: ClassVar[bool] = False
    recalls: ClassVar[bool] = False
    remembers: ClassVar[bool] = False
    cites: ClassVar[bool] = False

    def __init__(self, case: Case) -> None:
        self.case = case

    def prepare(self) -> bool:
        """Do what is done once a context, outside of any question's time; false where the system cannot be used."""
        return True

    def evidence(self, question: str, tokens: int) -> Evidence:
        """Passages for a question, at least `tokens` tokens of them where the context has as many."""
        raise NotImplementedError(f"{self.name} finds no evidence")

    def answer(self, question: str, evidence: Evidence) -> Reply:
        """The answer; `evidence` is what the system found for the question, empty where it finds none."""
        raise NotImplementedError(f"{self.name} gives no answers")


class RankedPassages(System):
    """The chunks as one or more indexes rank them, fused by reciprocal rank."""

    finds = True

    def indexes(self) -> list[Index]:
        """The indexes that are asked."""
        raise NotImplementedError

    def prepare(self) -> bool:
        return bool(self.indexes())

    def evidence(self, question: str, tokens: int) -> Evidence:
        rankings = [index.search([question], POOL)[0] for index in self.indexes()]
        ranked = reciprocal_rank_fusion([Ranking({hit.chunk: question for hit in hits}) for hits in rankings])
        return Evidence(tuple(span_of(self.case.chunks[found.chunk]) for found in ranked))


class Bm25(RankedPassages):
    """The words alone."""

    name = "bm25"

    def indexes(self) -> list[Index]:
        return [self.case.bm25]


class Dense(RankedPassages):
    """The embedder alone, and the generator's answer from what it finds within the engine's token budget."""

    name = "dense"
    answers = True

    def indexes(self) -> list[Index]:
        return [self.case.dense]

    def answer(self, question: str, evidence: Evidence) -> Reply:
        bench = self.case.bench
        passages = [self.case.text[start:end] for start, end in evidence.spans]
        fitting = fit_budget(passages, bench.engine.settings.evidence_tokens, bench.generator.count)
        texts = [passages[number] for number in fitting]
        prompt = render_answer(prompts_for(question), question, texts)
        text = bench.generator.generate(prompt, bench.engine.profile.answer)
        return Reply(Answer(text, "memorag"), sum(bench.generator.count(texts)))


class Hybrid(RankedPassages):
    """Both."""

    name = "hybrid"

    def indexes(self) -> list[Index]:
        return [self.case.dense, self.case.bm25]


class QuestionOnly(System):
    """The engine's evidence for the question, without recalling clues."""

    name = "question"
    finds = True

    def prepare(self) -> bool:
        return bool(self.case.context_id)

    def evidence(self, question: str, tokens: int) -> Evidence:
        return self._retrieve(question, (), tokens)

    def _retrieve(self, question: str, clues: tuple[Clue, ...], tokens: int) -> Evidence:
        """More than is shown is asked for, so that what fits exactly is the metric's choice, for every system alike."""
        engine = self.case.bench.engine
        wanted = min(TOP_UP * tokens, MAX_EVIDENCE_TOKENS)
        passages = engine.retrieve(self.case.context_id, question, clues, tokens=wanted)
        return Evidence(tuple(span_of(passage.chunk) for passage in passages), clues)


class Memorag(QuestionOnly):
    """All that the engine does by default: clues, evidence, answer."""

    name = "memorag"
    answers = recalls = cites = True

    def evidence(self, question: str, tokens: int) -> Evidence:
        return self._retrieve(question, self.case.bench.engine.recall(self.case.context_id, question), tokens)

    def answer(self, question: str, evidence: Evidence) -> Reply:
        bench = self.case.bench
        answer = bench.engine.answer(self.case.context_id, question)
        return Reply(answer, sum(bench.generator.count([passage.chunk.text for passage in answer.evidence])))


class MemoryAlone(QuestionOnly):
    """The memory model's own answer, without evidence."""

    name = "memory"
    finds = False
    answers = remembers = True

    def answer(self, question: str, evidence: Evidence) -> Reply:
        engine = self.case.bench.engine
        answer = engine.answer(self.case.context_id, question, "qa")
        return Reply(answer, engine.info(self.case.context_id).memory_tokens)


class FullContext(System):
    """The generator over the whole text, where that fits its window; read once a context, and asked often."""

    name = "full"
    answers = True

    def prepare(self) -> bool:
        return self.case.read is not None

    def answer(self, question: str, evidence: Evidence) -> Reply:
        lm, state = self.case.bench.reader, self.case.read
        assert lm is not None
        assert state is not None
        asked = prompts_for(question).qa.format(question=question)
        [text] = lm.generate([asked], self.case.bench.engine.profile.answer, state, repetition_penalty=1.1)
        return Reply(Answer(text, "qa"), state.tokens)


SYSTEMS: dict[str, type[System]] = {
    system.name: system for system in (Bm25, Dense, Hybrid, QuestionOnly, Memorag, MemoryAlone, FullContext)
}


def span_of(chunk: Chunk) -> Span:
    """Where a chunk stands in its document."""
    return chunk.start, chunk.end
