"""How likely a text answers a question at all: by how much of the question stands together in one passage.

Rare words count more, those that the text never has most, and names that no passage has count against it. The constants
are those of a logistic regression on questions asked of right and of wrong contexts, so that a score means the same
from one question to the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, log

from memorag_core.query.statements import Statement
from memorag_core.text.terms import content_stems

SHARE, MISSING_NAMES, LEVEL = 8.41, -4.38, -2.46
UNLIKELY = 0.3
"""Below this, a question counts as not answered by the text (docs/log.md)."""


def asked_words(question: str) -> frozenset[str]:
    """The words that a question asks with; a single Han character says too little."""
    return frozenset(word for word in content_stems(question) if len(word) > 1 or not "\u3400" <= word <= "\u9fff")


def likelihood(question: str, passages: Sequence[frozenset[str]], spread: Mapping[str, int], chunks: int) -> float:
    """How likely one of these passages, by its stems, answers; `spread` is how many of all `chunks` have a stem."""
    weights = {word: log((chunks + 1) / (spread.get(word, 0) + 0.5)) for word in asked_words(question)}
    total = sum(weights.values())
    held = (sum(weight for word, weight in weights.items() if word in passage) for passage in passages)
    share = max(held, default=0.0) / total if total else 0.0
    names = Statement(question).names
    missing = min((len(names - passage) / len(names) for passage in passages), default=1.0) if names else 0.0
    return 1 / (1 + exp(-(SHARE * share + MISSING_NAMES * missing + LEVEL)))
