"""Evidence from several contexts at once against each alone: `python -m benchmarks.several_contexts FOLDER… [--clues]`

Each context of an evaluation set is memorized as one of its own; a set of a single context is cut into five of about
equal length, between paragraphs. Every question with labelled evidence is asked of its own context, and of all the
set's at once. Printed are the share of gold spans at each budget, both ways, their paired difference with its standard
error, and seconds a question, in the median. Without `--clues` nothing is memorized beyond the index.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median, stdev

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.evaluation.case import Bench
from memorag_core.evaluation.datasets import EvalSet, Question, read_sets
from memorag_core.evaluation.metrics import evidence_recall, within
from memorag_core.evaluation.run import BUDGETS
from memorag_core.text.chunking import Span
from memorag_core.text.ids import apart

PARTS = 5
GAP = "\n\n"


@dataclass(frozen=True, slots=True)
class Part:
    """A context, and where it stands in the text of all of them."""

    context_id: str
    start: int
    end: int

    def holds(self, span: Span) -> bool:
        """Whether all of a span stands in it."""
        return self.start <= span[0] and span[1] <= self.end


class Library:
    """The contexts of a set, as they stand in one text."""

    def __init__(self, one: EvalSet, bench: Bench) -> None:
        self.bench = bench
        self.text = GAP.join(one.contexts.values())
        self.starts: dict[str, int] = {}
        spans, at = [], 0
        for name, text in one.contexts.items():
            self.starts[name] = at
            spans.append((at, at + len(text)))
            at += len(text) + len(GAP)
        self.parts = [self._memorize(one.name, span) for span in (spans if len(spans) > 1 else _parts(self.text))]

    def _memorize(self, name: str, span: Span) -> Part:
        start, end = span
        context = self.bench.engine.memorize([from_text(self.text[start:end], "text")], name=f"{name} {start}")
        return Part(context.id, start, end)

    def evidence_of(self, question: Question) -> list[Span]:
        """The gold spans, in the text of all."""
        start = self.starts[question.context]
        return [(start + first, start + last) for first, last in question.evidence]

    def own(self, question: Question) -> Part | None:
        """The context that holds all of a question's evidence; None where there is no evidence, or it is in several."""
        spans = self.evidence_of(question)
        return next((part for part in self.parts if spans and all(map(part.holds, spans))), None)

    def search(self, question: str, parts: Sequence[Part], clues: bool) -> list[Span]:
        """Passages of these contexts, in the text of all."""
        engine, ids = self.bench.engine, [part.context_id for part in parts]
        recalled = engine.recall(ids, question) if clues else ()
        passages = engine.retrieve(ids, question, recalled, tokens=2 * max(BUDGETS))
        starts = {part.context_id: part.start for part in parts}
        found = []
        for chunk in (passage.chunk for passage in passages):
            start = starts[apart(chunk.document_id)[0] or ids[0]]
            found.append((start + chunk.start, start + chunk.end))
        return found


def _parts(text: str) -> list[Span]:
    """Where each part of a text stands: cut at the paragraphs nearest to equal shares."""
    borders = [found.end() for found in re.finditer(r"\n\n+", text)]
    cuts = [min(borders, key=lambda border: abs(border - len(text) * k // PARTS)) for k in range(1, PARTS)]
    return list(pairwise([0, *cuts, len(text)]))


def measure(one: EvalSet, bench: Bench, clues: bool) -> Iterator[str]:
    """Yield the lines of a set."""
    library = Library(one, bench)
    asked = [(question, own) for question in one.questions if (own := library.own(question))]
    alone: list[list[float]] = []
    together: list[list[float]] = []
    took = []
    for question, own in asked:
        spans = library.evidence_of(question)
        for parts, scores in (([own], alone), (library.parts, together)):
            started = time.perf_counter()
            found = library.search(question.text, parts, clues)
            if parts is library.parts:
                took.append(time.perf_counter() - started)
            counted = bench.generator.count
            scores.append([evidence_recall(spans, within(found, library.text, budget, counted)) for budget in BUDGETS])
    for column, budget in enumerate(BUDGETS):
        first, second = [row[column] for row in alone], [row[column] for row in together]
        lost = [b - a for a, b in zip(first, second, strict=True)]
        yield (
            f"{one.name:24}{len(library.parts):>4} contexts{len(asked):>5} questions{budget:>6} tokens"
            f"{fmean(first):>8.3f} alone{fmean(second):>8.3f} together{fmean(lost):>+8.3f}"
            f" ± {stdev(lost) / len(lost) ** 0.5:.3f}{median(took):>7.3f} s"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="evaluation sets")
    parser.add_argument("--clues", action="store_true", help="recall clues first")
    chosen = parser.parse_args()
    settings = {"profile": "tiny"} if chosen.clues else {"profile": "tiny", "memory": "none"}
    bench = Bench(MemoRAG(Settings.of(**settings)))
    for one in (one for folder in chosen.folders for one in read_sets(folder)):
        for line in measure(one, bench, chosen.clues):
            print(line, flush=True)


if __name__ == "__main__":
    main()
