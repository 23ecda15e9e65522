"""Scores of answers and of evidence: pure functions of texts and character spans, from 0 to 1."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from math import log2

from memorag_core.text.chunking import Count, Span
from memorag_core.text.terms import HAN

DEPTH = 10

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_MIXED = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")


def answer_tokens(text: str, chinese: bool) -> list[str]:
    """What F1 and exact match compare.

    English: lower case, without punctuation and articles, as in SQuAD (Rajpurkar et al., 2016). Chinese: every Han
    character and every word of another script, without punctuation, as in CMRC 2018 (Cui et al., 2019).
    """
    if chinese:
        return _MIXED.findall(text.lower())
    return _ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def token_f1(answer: str, golds: Sequence[str]) -> float:
    """The harmonic mean of precision and recall of tokens, for the gold answer that fits best."""
    return max((_f1(*_both(answer, gold)) for gold in golds), default=0.0)


def exact_match(answer: str, golds: Sequence[str]) -> float:
    """1 where the answer is a gold answer but for case, punctuation and articles, else 0."""
    return float(any(own == other for own, other in (_both(answer, gold) for gold in golds)))


def rouge_l(answer: str, golds: Sequence[str]) -> float:
    """F-measure of the longest common subsequence of words, Han characters being words (Lin, 2004)."""
    own = _MIXED.findall(answer.lower())
    others = [_MIXED.findall(gold.lower()) for gold in golds]
    return max((_harmonic(_common(own, other), len(own), len(other)) for other in others), default=0.0)


def within(passages: Sequence[Span], text: str, tokens: int, count: Count) -> list[Span]:
    """What is read of the passages within the first `tokens` tokens: whole ones, and the one that crosses them cut.

    `count` counts the tokens of each text given. Nothing comes after a passage that was cut.
    """
    shown = []
    room = tokens
    for (start, end), size in zip(passages, count([text[start:end] for start, end in passages]), strict=True):
        if size > room:
            end = _fit_end(text, start, end, room, count)
        if start < end:
            shown.append((start, end))
        if size >= room:
            break
        room -= size
    return shown


def evidence_recall(evidence: Sequence[Span], shown: Sequence[Span]) -> float:
    """The share of gold spans of which what is shown covers more than half of the characters."""
    covered = [2 * overlap(span, shown) > span[1] - span[0] for span in evidence]
    return sum(covered) / len(covered)


def citation_hit(evidence: Sequence[Span], citations: Sequence[Span]) -> float:
    """1 where a citation and a gold span share more than half of the shorter one, else 0."""
    return float(
        any(
            2 * overlap(span, [quote]) > min(span[1] - span[0], quote[1] - quote[0])
            for span in evidence
            for quote in citations
        )
    )


def ndcg(evidence: Sequence[Span], ranked: Sequence[Span], chunks: Sequence[Span], depth: int = DEPTH) -> float:
    """Normalized discounted cumulative gain (Järvelin and Kekäläinen, 2002) of the first `depth` passages.

    A passage's gain is the gold characters that it shows first. The ideal is the best order of the `chunks`, spans
    that do not overlap; passages that beat it, being longer, count as ideal.
    """
    seen = [overlap_of(evidence, ranked[: place + 1]) for place in range(min(depth, len(ranked)))]
    gains = [after - before for before, after in zip([0, *seen], seen, strict=False)]
    best = sorted((overlap_of(evidence, [chunk]) for chunk in chunks), reverse=True)[:depth]
    return min(1.0, _discount(gains) / _discount(best)) if any(best) else 0.0


def overlap_of(evidence: Sequence[Span], shown: Sequence[Span]) -> int:
    """Characters of all gold spans that are shown."""
    return sum(overlap(span, shown) for span in evidence)


def overlap(span: Span, others: Sequence[Span]) -> int:
    """Characters of `span` that lie in any of the others, each counted once."""
    start, end = span
    covered, at = 0, start
    for other_start, other_end in sorted(others):
        first, last = max(at, other_start), min(end, other_end)
        if first < last:
            covered += last - first
            at = last
    return covered


def _fit_end(text: str, start: int, end: int, tokens: int, count: Count) -> int:
    """The largest end at which `text[start:end]` has at most `tokens` tokens, by halving."""
    low, high = start, end
    while low < high:
        middle = (low + high + 1) // 2
        if count([text[start:middle]])[0] <= tokens:
            low = middle
        else:
            high = middle - 1
    return low


def _both(answer: str, gold: str) -> tuple[list[str], list[str]]:
    chinese = HAN.search(gold) is not None
    return answer_tokens(answer, chinese), answer_tokens(gold, chinese)


def _f1(own: Sequence[str], other: Sequence[str]) -> float:
    if not own or not other:
        return float(own == other)
    return _harmonic(sum((Counter(own) & Counter(other)).values()), len(own), len(other))


def _harmonic(common: int, own: int, other: int) -> float:
    """F1 of a precision `common / own` and a recall `common / other`."""
    return 2 * common / (own + other) if own and other else 0.0


def _common(own: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in own:
        diagonal = 0
        for place, candidate in enumerate(other, start=1):
            above = row[place]
            row[place] = diagonal + 1 if word == candidate else max(above, row[place - 1])
            diagonal = above
    return row[-1]


def _discount(gains: Sequence[int]) -> float:
    return sum(gain / log2(place + 1) for place, gain in enumerate(gains, start=1))
