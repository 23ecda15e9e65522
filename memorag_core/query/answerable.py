"""How likely a text answers a question at all: by how much of the question stands together in the first passage.

Rare words count more. Against it count those that the text never has, and names that no passage has. The constants are
those of a logistic regression on questions asked of right and of wrong contexts, so that a score means the same from
one question to the next (`python -m benchmarks.answerable`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import exp, log
from typing import TYPE_CHECKING, NamedTuple

from memorag_core.query.statements import Statement
from memorag_core.text.terms import content_stems, stems

if TYPE_CHECKING:
    from memorag_core.context.corpus import Corpus
    from memorag_core.types import Passage


class Signs(NamedTuple):
    """Signs that a text answers a question, as shares of the question.

    Of its words, weighed by rarity: those in the first passage, and those nowhere in the text; and of its names those
    that the passage lacks which has most of them.
    """

    first: float
    absent: float
    unnamed: float


WEIGHTS, LEVEL = Signs(first=3.57, absent=-2.88, unnamed=-4.05), 0.47
UNLIKELY = 0.3
"""Below this, a question counts as not answered by the text (docs/log.md)."""


def asked_words(question: str) -> frozenset[str]:
    """The words that a question asks with; a single Han character says too little."""
    return frozenset(word for word in content_stems(question) if len(word) > 1 or not "\u3400" <= word <= "\u9fff")


def rate_passages(question: str, passages: Sequence[Passage], corpus: Corpus) -> tuple[Passage, ...]:
    """Give each passage how likely it alone answers as its score."""
    return tuple(replace(passage, score=rate(question, [passage], corpus)) for passage in passages)


def rate(question: str, passages: Sequence[Passage], corpus: Corpus) -> float:
    """How likely passages answer a question, of all the chunks of a corpus, best first."""
    bags = [frozenset(stems(passage.chunk.indexed)) for passage in passages]
    return likelihood(find_signs(question, bags, corpus.spread, len(corpus.chunks)))


def find_signs(question: str, passages: Sequence[frozenset[str]], spread: Mapping[str, int], chunks: int) -> Signs:
    """Find the signs in passages, by their stems, best first; `spread` is how many of all `chunks` have a stem."""
    weights = {word: log((chunks + 1) / (spread.get(word, 0) + 0.5)) for word in asked_words(question)}
    total = sum(weights.values()) or 1.0
    first = sum(weight for word, weight in weights.items() if passages and word in passages[0]) / total
    absent = sum(weight for word, weight in weights.items() if not spread.get(word)) / total
    names = Statement(question).names
    unnamed = min((len(names - passage) / len(names) for passage in passages), default=1.0) if names else 0.0
    return Signs(first, absent, unnamed)


def likelihood(signs: Signs) -> float:
    """How likely the text answers, by these signs."""
    return 1 / (1 + exp(-sum(weight * sign for weight, sign in zip(WEIGHTS, signs, strict=True)) - LEVEL))
