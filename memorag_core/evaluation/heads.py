"""Which attention heads of a model retrieve: those that rank the passage that answers before others.

They are found on labelled sets, or on facts that are hidden in any text. Every head ranks the passages by the score
of `retrieval.attention`; the best few are taken one by one, as long as together they rank better.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memorag_core.concurrency.progress import SILENT
from memorag_core.config import Head
from memorag_core.context.encode import cut
from memorag_core.errors import InputError
from memorag_core.evaluation.datasets import EvalSet, choose
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.retrieval.attention import AttentionIndexer
from memorag_core.retrieval.bm25 import Bm25Retriever
from memorag_core.text.chunking import Span
from memorag_core.types import Chunk, Document

PASSAGE = 160
HARD, RANDOM, FIRST = 14, 10, 5
TRIED = 4
FACTS = {
    "The number of the locker at {place} is {number}.": "What is the number of the locker at {place}?",
    "Since {number}, the keys of {place} hang in the porter's lodge.": "Since when do the keys of {place} hang there?",
    "It took {number} bricks to mend the wall of {place}.": "How many bricks did mending the wall of {place} take?",
    "The bill for painting {place} came to {number} crowns.": "How much did the painting of {place} cost?",
}
PLACES = ("the north pier", "the old mill", "the glass hall", "the east gate", "the lower lock", "the salt house")


@dataclass(frozen=True, slots=True)
class HeadTrial:
    """A question, passages, and the numbers of those that answer; whoever ranks one among the `first` has found it."""

    question: str
    passages: Sequence[str]
    answering: frozenset[int]
    first: int


@dataclass(frozen=True, slots=True)
class FoundHeads:
    """Heads, best first, and the share of answering passages that they find together."""

    heads: tuple[Head, ...]
    share: float


def trials_of_set(lm: LanguageModel, labelled: EvalSet) -> Iterator[HeadTrial]:
    """The questions of a set's calibration half, among passages that BM25 finds for them and random ones."""
    asked, chance = choose(labelled, "calibration", None).questions, random.Random(0)  # noqa: S311  # no secret
    for name, text in labelled.contexts.items():
        chunks = cut(Document("text", name, text), PASSAGE, lm.count)
        words = Bm25Retriever().index([chunk.indexed for chunk in chunks], SILENT)
        for question in (question for question in asked if question.context == name):
            gold = [at for at, chunk in enumerate(chunks) if any(_holds(chunk, span) for span in question.evidence)]
            ranked = [hit.chunk for hit in words.search([question.text], HARD)[0]]
            others = [*ranked, *(chance.randrange(len(chunks)) for _ in range(RANDOM))]
            numbers = list(dict.fromkeys([*gold, *others]))
            if gold:
                passages = [chunks[number].indexed for number in numbers]
                yield HeadTrial(question.text, passages, frozenset(range(len(gold))), FIRST)


def trials_of_text(lm: LanguageModel, text: str) -> Iterator[HeadTrial]:
    """Facts hidden in passages of a text, each asked for among passages that hide others."""
    passages = [chunk.indexed for chunk in cut(Document("text", "", text), PASSAGE, lm.count)]
    if len(passages) < len(PLACES):
        raise InputError(f"A text of {len(passages)} passages hides no facts. Name a text of some pages.")
    draw = random.Random(0)  # noqa: S311  # no secret
    for fact, question in FACTS.items():
        for round_ in range(len(PLACES)):
            chosen = draw.sample(passages, min(len(passages), HARD + RANDOM))
            places = PLACES[round_:] + PLACES[:round_]
            hidden = [fact.format(place=place, number=draw.randrange(1000, 9999)) for place in places]
            mixed = [_hide(passage, one) for passage, one in zip(chosen, hidden, strict=False)]
            yield HeadTrial(question.format(place=places[0]), [*mixed, *chosen[len(mixed) :]], frozenset({0}), 1)


def find_heads(lm: LanguageModel, trials: Iterable[HeadTrial], keep: int) -> FoundHeads:
    """The best heads of all layers but the first fifth, which looks at words only."""
    config = lm.model.config
    layers = range(config.num_hidden_layers // 5, config.num_hidden_layers)
    heads = [(layer, head) for layer in layers for head in range(config.num_attention_heads)]
    measured = [(trial, _scores(lm, heads, trial)) for trial in trials]
    if not measured:
        raise InputError("None of the questions has evidence that is marked in its text. Name another set, or a text.")
    alone = [sum(_share(trial, scores[at]) for trial, scores in measured) for at in range(len(heads))]
    order = sorted(range(len(heads)), key=lambda at: -alone[at])
    kept: list[int] = []
    reached = 0.0
    for at in order[: TRIED * keep]:
        together = sum(_share(trial, scores[[*kept, at]].sum(0)) for trial, scores in measured)
        if together > reached and len(kept) < keep:
            kept, reached = [*kept, at], together
    return FoundHeads(tuple(heads[at] for at in kept), reached / len(measured))


def _scores(lm: LanguageModel, heads: Sequence[Head], trial: HeadTrial) -> NDArray[np.float32]:
    """Of each head for each passage: the root of the attention a token; float32 (heads, passages)."""
    index = AttentionIndexer(lm, heads).index(trial.passages, SILENT)
    return index.attend(trial.question).by_head()


def _share(trial: HeadTrial, scores: NDArray[np.float32]) -> float:
    """Of the answering passages, those among the first few."""
    first = np.argsort(-scores, kind="stable")[: trial.first].tolist()
    return len(trial.answering & set(first)) / len(trial.answering)


def _holds(chunk: Chunk, span: Span) -> bool:
    return min(chunk.end, span[1]) - max(chunk.start, span[0]) > 0.3 * (span[1] - span[0])


def _hide(passage: str, fact: str) -> str:
    """Put a fact between two words in the middle."""
    middle = passage.find(" ", len(passage) // 2)
    return f"{passage} {fact}" if middle < 0 else f"{passage[:middle]} {fact}{passage[middle:]}"
