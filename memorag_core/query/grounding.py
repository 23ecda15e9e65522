"""Find sentences of an answer that the evidence does not support, by words, numbers and names. No model is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from memorag_core.text.chunking import sentences
from memorag_core.text.source_text import numbers
from memorag_core.text.terms import content_stems, stems

NEAR = 3
SHARE = 0.6
TOUCHED = 0.6

_YES_OR_NO = re.compile(
    r"(?i)^\W*(?:yes|no|true|false|是的|不是|是|否|对|不对|有|没有|会|不会|はい|いいえ)(?=$|[\s,.;:!，。；：！、])[\s,.;:!，。；：！、]*"
)
_NAME = re.compile(r"(?<=\w\W)[A-Z]\w+")  # but the first word, which is capital anyway


@dataclass(frozen=True, slots=True)
class _Near:
    """A window of sentences in a row: their stems and numbers."""

    stems: frozenset[str]
    numbers: frozenset[str]


def unsupported_claims(answer: str, question: str, passages: Sequence[str]) -> tuple[str, ...]:
    """Return the sentences of an answer that no passage supports.

    A sentence is supported where some sentences in a row have most of its content words beyond those of the question,
    all its numbers and all its names. A mere yes or no is where all the evidence together has most of the question's.
    """
    near = [window for passage in passages for window in _split_windows(passage)]
    spans = [answer[start:end] for start, end in sentences(answer)]
    return tuple(span for span in spans if not _is_supported(span, question, near))


def _split_windows(passage: str) -> list[_Near]:
    spans = list(sentences(passage))
    rows = [passage[first:last] for (first, _), (_, last) in zip(spans, spans[NEAR - 1 :] or spans[-1:], strict=False)]
    return [_Near(frozenset(stems(row)), frozenset(numbers(row))) for row in rows]


def _is_supported(sentence: str, question: str, near: Sequence[_Near]) -> bool:
    claim = _YES_OR_NO.sub("", sentence)
    if not content_stems(claim):
        return _is_on_topic(question, near)
    asked, said = content_stems(question), content_stems(claim)
    words = said - asked or said
    figures = frozenset(numbers(claim)) - frozenset(numbers(question) if said - asked else ())
    names = frozenset(stems(" ".join(_NAME.findall(claim)))) & words
    words -= figures
    return any(
        figures <= window.numbers and names <= window.stems and len(words & window.stems) >= SHARE * len(words)
        for window in near
    )


def _is_on_topic(question: str, near: Sequence[_Near]) -> bool:
    """Return whether all of the evidence together is about what a question asks."""
    asked = content_stems(question)
    there = frozenset[str]().union(*(window.stems for window in near))
    return len(asked & there) >= TOUCHED * max(1, len(asked)) and bool(near)
