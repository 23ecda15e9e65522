"""Records to one table a set, with bootstrap confidence intervals."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memorag_core.evaluation.datasets import EvalSet
from memorag_core.evaluation.records import Checks, Record

FORMAT = 1
RESAMPLES = 1000
LEVEL = 95
BASELINE = "dense"
AVERAGE = "average"

Floats = NDArray[np.float64]
Scored = Mapping[str, Record]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over `n` questions with its 95 % bootstrap interval (percentiles of 1,000 resamples of questions)."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One system over one set, or the mean over sets. `against_dense` holds paired differences to plain dense."""

    system: str
    scores: dict[str, Estimate]
    against_dense: dict[str, Estimate]
    seconds: float
    tokens: float
    checks: Checks


@dataclass(frozen=True, slots=True)
class ReportTable:
    """One set. `left_out` lines could not be asked; recall and nDCG are over the questions with gold evidence."""

    name: str
    questions: int
    with_evidence: int
    left_out: int
    rows: tuple[ReportRow, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All sets, and where there are several their average, every set counting alike."""

    format: int
    made_with: dict[str, Any]
    tables: tuple[ReportTable, ...]

    def as_json(self) -> dict[str, Any]:
        """For `json.dump`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Sample:
    """A score's resampled means (resamples,), float64, its mean, and the number of questions."""

    mean: float
    means: Floats
    n: int

    def estimate(self) -> Estimate:
        low, high = np.percentile(self.means, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
        return Estimate(round(self.mean, 4), round(float(low), 4), round(float(high), 4), self.n)


@dataclass(frozen=True, slots=True)
class _Measured:
    """A system over a set, not yet rounded."""

    scores: dict[str, _Sample]
    against: dict[str, _Sample]
    seconds: float
    tokens: float
    checks: Checks


def summarize_records(records: Sequence[Record], sets: Sequence[EvalSet], made_with: dict[str, Any]) -> Report:
    """The report of a run. Systems that answered no question have no row."""
    by_set: dict[str, dict[str, dict[str, Record]]] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        by_set[record.set][record.system][record.question] = record
    measured = {
        name: {system: _measure(mine, systems.get(BASELINE, {}), seed) for system, mine in systems.items()}
        for seed, (name, systems) in enumerate(by_set.items())
    }
    tables = [_table(questions, measured[questions.name]) for questions in sets if questions.name in measured]
    if len(tables) > 1:
        tables.append(_average(tables, list(measured.values())))
    return Report(FORMAT, made_with, tuple(tables))


def _measure(mine: Scored, dense: Scored, seed: int) -> _Measured:
    metrics = dict.fromkeys(metric for record in mine.values() for metric in record.scores)
    count = len(mine)
    return _Measured(
        scores={metric: sample for metric in metrics if (sample := _sample(mine, None, metric, seed))},
        against={metric: sample for metric in metrics if (sample := _sample(mine, dense, metric, seed))},
        seconds=sum(record.seconds for record in mine.values()) / count,
        tokens=sum(record.tokens for record in mine.values()) / count,
        checks=_sum(record.checks for record in mine.values()),
    )


def _sample(mine: Scored, other: Scored | None, metric: str, seed: int) -> _Sample | None:
    """A score, or its difference to the other's on the questions that both have, with resampled means.

    Recall is of spans, so a question weighs as much as it has gold spans; for other scores all weigh alike.
    """
    pairs = []
    for name, record in mine.items():
        base = 0.0 if other is None else other[name].scores.get(metric) if name in other else None
        if metric in record.scores and base is not None:
            pairs.append((record.scores[metric] - base, record.gold if metric.startswith("recall") else 1))
    if not pairs:
        return None
    values, weights = np.array(pairs, dtype=np.float64).T
    picks = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    means = (values * weights)[picks].sum(1) / weights[picks].sum(1)
    return _Sample(float((values * weights).sum() / weights.sum()), means, len(values))


def _table(questions: EvalSet, measured: Mapping[str, _Measured]) -> ReportTable:
    with_evidence = sum(bool(question.evidence) for question in questions.questions)
    rows = tuple(_row(name, one) for name, one in measured.items())
    return ReportTable(questions.name, len(questions.questions), with_evidence, questions.left_out, rows)


def _row(name: str, one: _Measured) -> ReportRow:
    scores = {metric: sample.estimate() for metric, sample in one.scores.items()}
    against = {metric: sample.estimate() for metric, sample in one.against.items()} if name != BASELINE else {}
    return ReportRow(name, scores, against, round(one.seconds, 4), round(one.tokens, 1), one.checks)


def _average(tables: Sequence[ReportTable], measured: Sequence[Mapping[str, _Measured]]) -> ReportTable:
    """The mean over sets of what all sets have, each resampled on its own."""
    systems = [name for name in measured[0] if all(name in one for one in measured)]
    rows = tuple(_row(name, _mean([one[name] for one in measured])) for name in systems)
    questions = sum(table.questions for table in tables)
    with_evidence = sum(table.with_evidence for table in tables)
    return ReportTable(AVERAGE, questions, with_evidence, sum(table.left_out for table in tables), rows)


def _mean(ones: Sequence[_Measured]) -> _Measured:
    return _Measured(
        scores=_means([one.scores for one in ones]),
        against=_means([one.against for one in ones]),
        seconds=sum(one.seconds for one in ones) / len(ones),
        tokens=sum(one.tokens for one in ones) / len(ones),
        checks=_sum(one.checks for one in ones),
    )


def _means(samples: Sequence[Mapping[str, _Sample]]) -> dict[str, _Sample]:
    shared = [metric for metric in samples[0] if all(metric in one for one in samples)]
    return {
        metric: _Sample(
            sum(one[metric].mean for one in samples) / len(samples),
            np.mean([one[metric].means for one in samples], axis=0),
            sum(one[metric].n for one in samples),
        )
        for metric in shared
    }


def _sum(checks: Iterable[Checks]) -> Checks:
    counts: Counter[str] = Counter()
    for one in checks:
        counts.update(asdict(one))
    return Checks(**counts)
