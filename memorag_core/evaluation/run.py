"""Every question of every set through every system; what was done before is not done again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from memorag_core.config import MAX_EVIDENCE_TOKENS, NO_MEMORY, Profile
from memorag_core.engine import MemoRAG
from memorag_core.errors import InputError
from memorag_core.evaluation.case import Bench, Case
from memorag_core.evaluation.checks import check_answer
from memorag_core.evaluation.datasets import EvalSet, Question
from memorag_core.evaluation.metrics import (
    DEPTH,
    citation_hit,
    evidence_recall,
    exact_match,
    ndcg,
    rouge_l,
    token_f1,
    within,
)
from memorag_core.evaluation.records import Ledger, Record
from memorag_core.evaluation.systems import SYSTEMS, Evidence, System
from memorag_core.types import OnProgress, Progress, ignore_progress

BUDGETS = (700, 1400)
SMALLEST_BUDGET = 16


@dataclass(frozen=True, slots=True)
class EvalPlan:
    """What to measure. Without `answers` only evidence is looked for; budgets are in the generator's tokens.

    `systems` are names of `SYSTEMS`; by default all that the plan has a use for, but without answers none that
    generates text to find evidence.
    """

    systems: tuple[str, ...] = ()
    budgets: tuple[int, ...] = BUDGETS
    answers: bool = True

    def __post_init__(self) -> None:
        if unknown := [name for name in self.systems if name not in SYSTEMS]:
            raise InputError(f"There is no system '{unknown[0]}'. Choose from: {', '.join(SYSTEMS)}.")
        if not self.budgets or not all(SMALLEST_BUDGET <= each <= MAX_EVIDENCE_TOKENS for each in self.budgets):
            least, most = SMALLEST_BUDGET, MAX_EVIDENCE_TOKENS
            raise InputError(f"The budgets {self.budgets} cannot be used; choose numbers from {least} to {most:,}.")
        if not self.answers and (idle := [name for name in self.systems if not SYSTEMS[name].finds]):
            raise InputError(f"'{idle[0]}' finds no evidence, so there is nothing to measure of it without answers.")

    def choose_systems(self, profile: Profile) -> list[type[System]]:
        """The systems to run with the models of a profile, in the order of the table."""
        if self.systems:
            return [system for name, system in SYSTEMS.items() if name in self.systems]
        return [
            system
            for system in SYSTEMS.values()
            if self.answers or (system.finds and not (system.recalls and _generates(profile)))
        ]

    def remembers(self, profile: Profile) -> bool:
        """Whether a memory is asked: for answers from it alone, and for clues where these are generated."""
        return any(_asks_memory(system, profile) for system in self.choose_systems(profile))


def _asks_memory(system: type[System], profile: Profile) -> bool:
    return system.remembers or (system.recalls and _generates(profile))


def _generates(profile: Profile) -> bool:
    """Whether recall of clues runs a language model word by word."""
    return profile.recall == "both" or not profile.heads


def evaluate(
    engine: MemoRAG, sets: Sequence[EvalSet], plan: EvalPlan, out: Path, on_progress: OnProgress = ignore_progress
) -> list[Record]:
    """Records of all questions; those that `out` keeps from an earlier run are taken from there.

    Where no memory is asked, contexts are indexed and not memorized, which takes most of the time.

    Raises:
        InputError: none of the questions is left to ask.
        StoreError: `out` cannot be written.
        Cancelled: from `on_progress`; what was done by then is kept.
    """
    if not plan.remembers(engine.profile):
        engine = MemoRAG(engine.settings.model_copy(update={"memory": NO_MEMORY}), engine.shared.say)
    total = len(plan.choose_systems(engine.profile)) * sum(len(questions.questions) for questions in sets)
    if not total:
        raise InputError("There is no question to ask. Choose another folder, split or limit.")
    on_progress(Progress("loading models", 0, total, 0.0))
    run = _Run(Bench(engine), plan, Ledger(out), total, on_progress)
    for questions in sets:
        run.ask(questions)
    return run.records


@dataclass
class _Run:
    """A run under way: what it has, and how far it is."""

    bench: Bench
    plan: EvalPlan
    ledger: Ledger
    total: int
    on_progress: OnProgress
    done: int = 0
    records: list[Record] = field(default_factory=list)

    def ask(self, questions: EvalSet) -> None:
        """All questions of a set, context by context, so that one context at a time is in memory."""
        for name, text in questions.contexts.items():
            asked = [question for question in questions.questions if question.context == name]
            case = Case(self.bench, f"{questions.name} {name}", text, self._report)
            for system in self.plan.choose_systems(self.bench.engine.profile) if asked else ():
                self._ask(questions.name, system(case), asked)

    def _ask(self, name: str, system: System, asked: Iterable[Question]) -> None:
        """One system's records; it is prepared only where one of them is not known yet."""
        usable: bool | None = None
        for question in asked:
            key = (name, question.id, system.name, _recipe(system, self.plan, question))
            if (record := self.ledger.known.get(key)) is None:
                usable = self._prepare(system) if usable is None else usable
                if usable:
                    record = _outcome(system, question, self.plan, key)
                    self.ledger.add(record)
            self.records += [record] if record else []
            self.done += 1
            self._report(Progress(f"{name}, {system.name}:", self.done, self.total, 0.0))

    def _prepare(self, system: System) -> bool:
        """Load and index what the system needs, so that no question's time has it in it."""
        return bool(self.bench.generator) and system.prepare()

    def _report(self, step: Progress) -> None:
        self.on_progress(replace(step, fraction=self.done / self.total))


def _recipe(system: System, plan: EvalPlan, question: Question) -> str:
    """A digest of all that decides a record; after a change of any of it, what was measured before does not count."""
    case = system.case
    used = case.bench.recipe(_asks_memory(type(system), case.bench.engine.profile))
    parts = [used, plan.budgets, plan.answers, asdict(question), case.digest]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _outcome(system: System, question: Question, plan: EvalPlan, key: tuple[str, str, str, str]) -> Record:
    """One question through one system, timed and scored."""
    started = time.perf_counter()
    evidence = system.evidence(question.text, max(plan.budgets)) if system.finds else Evidence(())
    reply = system.answer(question.text, evidence) if plan.answers and system.answers else None
    seconds = time.perf_counter() - started
    case = system.case
    scores = _score_evidence(system, question, evidence, plan) if system.finds and question.evidence else {}
    citations = reply.answer.citations if reply else ()
    if reply:
        scores |= _score_answer(reply.answer.text, question.answers)
    if reply and system.cites and question.evidence:
        scores["cited"] = citation_hit(question.evidence, [(citation.start, citation.end) for citation in citations])
    return Record(
        *key,
        gold=len(question.evidence),
        scores=scores,
        seconds=round(seconds, 4),
        tokens=reply.tokens if reply else _tokens(case, evidence, max(plan.budgets)),
        checks=check_answer(case, question.text, evidence.clues, citations),
        evidence=evidence.spans,
        clues=tuple(clue.text for clue in evidence.clues),
        answer=reply.answer.text if reply else None,
    )


def _score_evidence(system: System, question: Question, evidence: Evidence, plan: EvalPlan) -> dict[str, float]:
    case, count = system.case, system.case.bench.generator.count
    recalls = {
        f"recall@{budget}": evidence_recall(question.evidence, within(evidence.spans, case.text, budget, count))
        for budget in plan.budgets
    }
    return recalls | {
        f"ndcg@{DEPTH}": ndcg(question.evidence, evidence.spans, [(chunk.start, chunk.end) for chunk in case.chunks])
    }


def _score_answer(answer: str, golds: Sequence[str]) -> dict[str, float]:
    return {"f1": token_f1(answer, golds), "exact": exact_match(answer, golds), "rouge_l": rouge_l(answer, golds)}


def _tokens(case: Case, evidence: Evidence, budget: int) -> int:
    count = case.bench.generator.count
    return sum(count([case.text[start:end] for start, end in within(evidence.spans, case.text, budget, count)]))
