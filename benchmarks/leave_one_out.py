"""Evidence with constants that were fitted on the other sets: `python -m benchmarks.leave_one_out FOLDER…`

For each evaluation set, the constants of retrieval are those that serve all the other sets best: first never below
plain retrieval, at no budget, then the most gain over it on average. Tried are the reaches of `context/neighbours.py`
in all combinations, or one of the other constants changed. Printed are the share of gold spans at each budget by BM25,
by vectors, by both (RRF), and by a question's own search with these constants; then the worst set. No clues are
recalled. Embedding the texts takes most of the time.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path
from statistics import fmean

from memorag_core import MemoRAG, Settings
from memorag_core.context import neighbours
from memorag_core.context.corpus import Corpus
from memorag_core.evaluation.case import Bench, Case
from memorag_core.evaluation.datasets import EvalSet, Question, read_sets
from memorag_core.evaluation.metrics import evidence_recall, within
from memorag_core.evaluation.run import BUDGETS
from memorag_core.evaluation.systems import SYSTEMS, span_of
from memorag_core.query import search as ranking
from memorag_core.retrieval import fusion
from memorag_core.retrieval.base import Allowed, Finder, Hit
from memorag_core.retrieval.hybrid import HybridIndex
from memorag_core.text.chunking import Span
from memorag_core.types import Recollection

PLAIN = ("bm25", "dense", "hybrid")
DEPTH = 200
DIGITS = 9
Scores = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Constants:
    """What is fitted; as shipped, where nothing is said."""

    reaches: tuple[int, ...] = neighbours.REACHES
    broad_reach: int = neighbours.BROAD_REACH
    named: float = ranking.NAMED
    looked_at: int = ranking.LOOKED_AT
    rrf_k: int = fusion.RRF_K

    def use(self) -> None:
        """Search with these from now on."""
        neighbours.BROAD_REACH = self.broad_reach
        ranking.NAMED, ranking.LOOKED_AT, fusion.RRF_K = self.named, self.looked_at, self.rrf_k

    def __str__(self) -> str:
        """Those that are not as shipped."""
        shipped = Constants()
        own = ((one.name, getattr(self, one.name), getattr(shipped, one.name)) for one in fields(self))
        return ", ".join(f"{name} {value}" for name, value, usual in own if value != usual) or "as shipped"


SHIPPED = Constants()
REACHES = [(0, *wider) for count in range(3) for wider in combinations((1, 4, 8, 12, 16, 24), count)]
CHOICES = [
    SHIPPED,
    *(Constants(reaches=reaches) for reaches in REACHES if reaches != SHIPPED.reaches),
    *(Constants(broad_reach=reach) for reach in (4, 8, 16, 24)),
    *(Constants(named=weight) for weight in (0.0, 0.5, 2.0)),
    *(Constants(looked_at=first) for first in (1, 5)),
    *(Constants(rrf_k=k) for k in (5, 20, 60)),
]


class Remembered(Finder):
    """Searches once for each query, however often it is asked."""

    def __init__(self, finder: Finder) -> None:
        self.finder = finder
        self.known: dict[tuple[str, int], list[Hit]] = {}

    def search(self, queries: Sequence[str], k: int, allowed: Allowed = None) -> list[list[Hit]]:
        assert allowed is None
        for query in queries:
            if (query, k) not in self.known:
                self.known[query, k] = self.finder.search([query], k)[0]
        return [self.known[query, k] for query in queries]


@dataclass(frozen=True, slots=True)
class SetScores:
    """Of one set, recall at each budget: by plain retrieval, and by each choice of constants."""

    plain: dict[str, Scores]
    chosen: dict[Constants, Scores]

    @property
    def best(self) -> Scores:
        """The best of plain retrieval, for each budget."""
        return tuple(max(scores) for scores in zip(*self.plain.values(), strict=True))

    def gains(self, constants: Constants) -> Scores:
        """The gain over the best of plain retrieval, for each budget."""
        return tuple(own - best for own, best in zip(self.chosen[constants], self.best, strict=True))

    def gain(self, constants: Constants) -> float:
        """Their mean."""
        return fmean(self.gains(constants))


def measure(one: EvalSet, bench: Bench) -> SetScores:
    """All figures of a set."""
    cases = {name: Case(bench, name, text) for name, text in one.contexts.items()}
    corpora = {name: _corpus(case) for name, case in cases.items()}
    asked = [question for question in one.questions if question.evidence]
    kinds = bench.engine.shared.components.question_kinds
    known_sizes: dict[str, int] = {}

    def count(texts: Sequence[str]) -> list[int]:
        new = [text for text in dict.fromkeys(texts) if text not in known_sizes]
        known_sizes.update(zip(new, bench.generator.count(new), strict=True))
        return [known_sizes[text] for text in texts]

    def mean(found: Iterator[tuple[Question, Sequence[Span]]]) -> Scores:
        recalls = [
            [evidence_recall(q.evidence, within(spans, cases[q.context].text, budget, count)) for budget in BUDGETS]
            for q, spans in found
        ]
        return tuple(map(fmean, zip(*recalls, strict=True)))

    def rank(constants: Constants) -> Iterator[tuple[Question, Sequence[Span]]]:
        constants.use()
        for name, corpus in corpora.items():
            smoother = neighbours.NeighbourSmoother(corpus.chunks, {"text": cases[name].text}, constants.reaches)
            vars(corpus)["surroundings"] = smoother
        for q in asked:
            corpus = corpora[q.context]
            known = Recollection(broad=corpus.surroundings.has_talk and kinds.is_broad(q.text))
            found = ranking.search(corpus, q.text, known, DEPTH)
            yield q, [span_of(corpus.chunks[item.chunk]) for item in found]

    plain = {
        name: mean((q, SYSTEMS[name](cases[q.context]).evidence(q.text, max(BUDGETS)).spans) for q in asked)
        for name in PLAIN
    }
    chosen = {constants: mean(rank(constants)) for constants in CHOICES}
    SHIPPED.use()
    return SetScores(plain, chosen)


def _corpus(case: Case) -> Corpus:
    index = Remembered(HybridIndex([case.dense, case.bm25]))
    return Corpus((case.document,), tuple(case.chunks), index, None)


def fit(sets: Sequence[SetScores]) -> Constants:
    """The constants that fall least below plain retrieval on any of the sets; of several, those that gain most."""

    def serve(constants: Constants) -> tuple[float, float]:
        worst = min(gain for one in sets for gain in one.gains(constants))
        return round(min(worst, 0.0), DIGITS), fmean(one.gain(constants) for one in sets)

    return max(CHOICES, key=serve)


def report(measured: dict[str, SetScores]) -> Iterator[str]:
    """Yield the table."""
    gains = {}
    yield f"{'set':24}{'bm25':>14}{'dense':>14}{'hybrid':>14}{'question':>14}   gain  constants"
    for name, scores in measured.items():
        fitted = fit([other for key, other in measured.items() if key != name] or [scores])
        gains[name] = scores.gain(fitted)
        columns = [*scores.plain.values(), scores.chosen[fitted]]
        cells = "".join(f"{'/'.join(f'{value:.3f}' for value in column):>14}" for column in columns)
        yield f"{name:24}{cells}  {gains[name]:+.3f}  {fitted}"
    worst = min(gains, key=lambda name: gains[name])
    yield f"mean gain over the best of plain retrieval {fmean(gains.values()):+.3f}; worst {worst} {gains[worst]:+.3f}"
    shipped = [scores.gain(SHIPPED) for scores in measured.values()]
    yield f"as shipped: {fmean(shipped):+.3f}; worst {min(shipped):+.3f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="evaluation sets")
    bench = Bench(MemoRAG(Settings.of(profile="tiny", memory="none")))
    sets = [one for folder in parser.parse_args().folders for one in read_sets(folder)]
    for line in report({one.name: measure(one, bench) for one in sets}):
        print(line, flush=True)


if __name__ == "__main__":
    main()
