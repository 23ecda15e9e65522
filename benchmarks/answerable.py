"""Questions asked of the wrong text: is that told? `python -m benchmarks.answerable FOLDER… [--store FOLDER]`

Every question of each evaluation set is asked of its own text, and of one that does not answer it: another text of the
set; where the set has one text, its paragraphs are dealt out into two halves so that the evidence of each question is
in one of them. Printed, of each set: how many of the questions that are told first as unanswered are asked of the wrong
text, when .6 of these are told (precision at .6 recall), with constants fitted on the other sets; and with the engine's
own constants at its own threshold, precision, recall, and the share of answerable questions told as unanswered.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.evaluation.datasets import EvalSet, Question, read_sets
from memorag_core.query.answerable import UNLIKELY, Signs, find_signs
from memorag_core.text.ids import slug
from memorag_core.text.terms import stems
from memorag_core.types import ContextInfo

RECALL = 0.6
STEPS, RIDGE = 30, 1e-4
Matrix = NDArray[np.float64]


@dataclass
class Asked:
    """Questions of one set: the signs of each, how likely the engine holds an answer, whether the text was wrong."""

    signs: list[Signs] = field(default_factory=list)
    answerable: list[float] = field(default_factory=list)
    wrong: list[bool] = field(default_factory=list)


class Ready(Exception):
    """A context can be asked; its memory is not wanted."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--store", type=Path, help="a folder for the contexts, so that they are embedded once")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        engine = MemoRAG(Settings.of(profile="tiny", memory="none", store=given.store or Path(folder)))
        sets = [one for path in given.folders for one in read_sets(path)]
        asked = {one.name: ask(engine, one) for one in sets}
    print(f"{'set':24}{'questions':>10}{'precision at .6':>18}{'told: precision':>18}{'recall':>8}{'false':>8}")
    everything = [(fit([a for n, a in asked.items() if n != name]), one) for name, one in asked.items()]
    for name, (weights, one) in zip(asked, everything, strict=True):
        print(name.ljust(24) + report(score(weights, one.signs), [one]))
    together = np.concatenate([score(weights, one.signs) for weights, one in everything])
    print("all".ljust(24) + report(together, list(asked.values())))
    *weights, level = fit(list(asked.values())).round(2).tolist()
    print("constants on all sets:", Signs(*weights), level)


def ask(engine: MemoRAG, one: EvalSet) -> Asked:
    """Ask all questions of a set that have evidence, each of a right and of a wrong text."""
    texts, places = deal(one) if len(one.contexts) == 1 else (one.contexts, {q.id: q.context for q in one.questions})
    ids = {name: memorize(engine, slug(f"{one.name}-{name}"), text) for name, text in texts.items()}
    names, asked = sorted(ids), Asked()
    for question in one.questions:
        if question.evidence:
            right = names.index(places[question.id])
            other = 1 + int(hashlib.sha256(question.id.encode()).hexdigest(), 16) % (len(names) - 1)
            for at in (right, (right + other) % len(names)):
                answer = engine.answer(ids[names[at]], question.text)
                context = engine.context(ids[names[at]])
                bags = [frozenset(stems(passage.chunk.indexed)) for passage in answer.evidence]
                asked.signs.append(find_signs(question.text, bags, context.spread, len(context.chunks)))
                asked.answerable.append(answer.answerable or 0.0)
                asked.wrong.append(at != right)
    return asked


def memorize(engine: MemoRAG, name: str, text: str) -> str:
    """Index a text; its memory is not made."""

    def stop(info: ContextInfo) -> None:
        raise Ready(info.id)

    try:
        return engine.memorize([from_text(text, title=name)], on_ready=stop).id
    except Ready as ready:
        return str(ready)


def deal(one: EvalSet) -> tuple[dict[str, str], dict[str, str]]:
    """Deal a text's paragraphs out into two halves, and say in which of them each question has its evidence."""
    [text] = one.contexts.values()
    blocks = list(cut_paragraphs(text))
    groups = [{at} for at in range(len(blocks))]
    holding = {question.id: find_blocks(question, blocks) for question in one.questions if question.evidence}
    for held in holding.values():
        joined = set().union(*(group for group in groups if group & held))
        groups = [group for group in groups if not group & held] + [joined]
    halves: tuple[set[int], set[int]] = (set(), set())
    for group in sorted(groups, key=lambda group: (-length(group, blocks), min(group))):
        min(halves, key=lambda half: length(half, blocks)).update(group)
    texts = {f"half{n}": "\n\n".join(text[slice(*blocks[at])] for at in sorted(half)) for n, half in enumerate(halves)}
    return texts, {key: f"half{int(not held <= halves[0])}" for key, held in holding.items()}


def cut_paragraphs(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for paragraph in text.split("\n\n"):
        yield start, start + len(paragraph)
        start += len(paragraph) + 2


def find_blocks(question: Question, blocks: Sequence[tuple[int, int]]) -> set[int]:
    """Find the paragraphs in which a question's evidence stands."""
    return {at for at, (a, b) in enumerate(blocks) if any(a < end and start < b for start, end in question.evidence)}


def length(numbers: set[int], blocks: Sequence[tuple[int, int]]) -> int:
    """Characters of some paragraphs."""
    return sum(blocks[at][1] - blocks[at][0] for at in numbers)


def fit(asked: Sequence[Asked]) -> Matrix:
    """Fit a logistic regression by Newton's method: weights of the signs and the level. Each set counts alike."""
    rows = np.concatenate([with_level(one.signs) for one in asked])
    right = np.concatenate([1.0 - np.array(one.wrong) for one in asked])
    share = np.concatenate([np.full(len(one.wrong), 1 / len(one.wrong) / len(asked)) for one in asked])
    ridge = np.diag([*[2 * RIDGE] * len(Signs._fields), 0.0])
    weights: Matrix = np.zeros(rows.shape[1])
    for _ in range(STEPS):
        held = 1 / (1 + np.exp(-rows @ weights))
        slope = rows.T @ (share * (held - right)) + ridge @ weights
        weights = weights - np.linalg.solve((rows.T * (share * held * (1 - held))) @ rows + ridge, slope)
    return weights


def score(weights: Matrix, signs: Sequence[Signs]) -> Matrix:
    """How likely each question is answered."""
    scores: Matrix = 1 / (1 + np.exp(-with_level(signs) @ weights))
    return scores


def with_level(signs: Sequence[Signs]) -> Matrix:
    return np.column_stack([np.array(signs), np.ones(len(signs))])


def report(fitted: Matrix, asked: Sequence[Asked]) -> str:
    """The figures of some sets."""
    wrong = np.array([flag for one in asked for flag in one.wrong])
    found = np.cumsum(wrong[np.argsort(fitted, kind="stable")])
    reached = int(np.searchsorted(found, RECALL * wrong.sum()))
    told = np.array([value < UNLIKELY for one in asked for value in one.answerable])
    figures = ((told & wrong).sum() / max(1, told.sum()), told[wrong].mean(), told[~wrong].mean())
    precision, recall, false = (f"{figure:.3f}" for figure in figures)
    return f"{len(wrong):10}{found[reached] / (reached + 1):18.3f}{precision:>18}{recall:>8}{false:>8}"


if __name__ == "__main__":
    main()
