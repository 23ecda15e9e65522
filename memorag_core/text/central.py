"""Central sentences: those whose words many other sentences have too (SumBasic, Nenkova and Vanderwende 2005)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from math import log

from memorag_core.text.terms import content_stems, terms
from memorag_core.text.wrapped import whole_sentences

SHORTEST = 4
QUESTION_MARKS = ("?", "？")
DAMPED, SIZED = 8, 0.75
"""A long sentence has more words to score with: its sum is divided by (words + DAMPED) ** SIZED."""
SPOKEN, LEANING, LONG, SLOPE = 2.0, 0.7, 35, 15
"""What takes from a score: speech; first or second persons, leaning on what is before; each SLOPE words above LONG."""

_SPEECH = re.compile(r"^\W*[\"'`“‘「『«]|[.,!?;。！？，][\"'”’」』»]|[\"”」』»]\W*$")
_LEANS = re.compile(
    r"(?i)^\W*(?:and|but|so|or|yet|therefore|he|she|it|they|this|that|these|those|then|there|his|her|their|its)\b"
    r"|^\W*(?:[他她它这那]|但|而|所以|因此|于是|然后)"
)
_BOLD_LINE = re.compile(r"(\*\*|__)(?:(?!\1).)+(?<![.!?。！？…])(?<![.!?。！？…][\"'”’»」)])\1[:：]?")
"""A line in bold that ends as no sentence does stands for a heading."""
PERSON = re.compile(r"\bI\b|\b(?i:me|my|we|us|our|your?)\b|[你您我]")


def weigh_sentences(texts: Sequence[str], focus: str = "") -> list[float]:
    """How central each sentence is among all; words of `focus` count for more, and less what does not stand alone.

    A word of most sentences says as little as a word of one: the hero's name, `said`.
    """
    bags = [content_stems(text) for text in texts]
    spread = Counter(word for bag in bags for word in bag)
    asked = content_stems(focus)
    return [
        sum(log(spread[word]) * (1 - spread[word] / len(texts)) + 2 * (word in asked) for word in bag)
        / (DAMPED + len(bag)) ** SIZED
        - _count_faults(text)
        for bag, text in zip(bags, texts, strict=True)
    ]


def _count_faults(text: str) -> float:
    """How much less a sentence says by itself: cut off, a question, speech, leaning on another, or long."""
    cut_off = text[:1].islower() + text.endswith(QUESTION_MARKS)
    leaning = SPOKEN * bool(_SPEECH.search(text)) + LEANING * sum(bool(p.search(text)) for p in (_LEANS, PERSON))
    return cut_off + leaning + max(0, len(text.split()) - LONG) / SLOPE


def pick_sentences(text: str, most: int, count: Callable[[Sequence[str]], list[int]]) -> str:
    """The most central whole sentences of a text that `count` says are at most `most` tokens, in order, one a line.

    Where no sentence is that short, nothing.
    """
    told = told_sentences([text])
    weights, sizes = weigh_sentences(told), count(told)
    chosen = []
    for at in sorted(range(len(told)), key=lambda at: -weights[at]):
        if sizes[at] < most:  # and one for the line break
            chosen.append(at)
            most -= sizes[at] + 1
    return "\n".join(told[at] for at in sorted(chosen))


def told_sentences(texts: Sequence[str]) -> list[str]:
    """The whole sentences of texts that tell something, each once and on one line."""
    spans = ((text, span) for text in texts for span in whole_sentences(text, 0, len(text)))
    sentences = dict.fromkeys(" ".join(text[start:end].split()) for text, (start, end) in spans)
    return [sentence for sentence in sentences if is_told(sentence)]


def is_told(sentence: str) -> bool:
    """Whether it tells something: it has words enough and is no heading."""
    heading = sentence.startswith("#") or _BOLD_LINE.fullmatch(sentence)
    return len(terms(sentence)) >= SHORTEST and not heading
