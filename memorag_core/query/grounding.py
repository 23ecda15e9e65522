"""Judge each sentence of an answer by the evidence: borne out, its words found, or neither. No model is asked.

A claim is borne out where sentences in a row have its values, names and most of its words, speak of its subject, and do
not contradict it. Where the words are there and it cannot be told whether they say so, they are `found`, no more.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from memorag_core.query.comparison import tell_same
from memorag_core.query.contrast import contradict, denies, is_exchanged, is_resequenced
from memorag_core.query.statements import Statement, admits
from memorag_core.text.chunking import Span, sentences
from memorag_core.text.relative_dates import DatedWords, note_dates, read_relative_dates
from memorag_core.text.terms import content_stems, stems
from memorag_core.text.values import Value, lacks, read_values
from memorag_core.text.wrapped import whole_sentences
from memorag_core.types import Chunk, Support

NEAR = 3
SHARE = 0.6
TOUCHED = 0.6
SAME_WORDS = 0.5
RANKS: tuple[Support, ...] = ("not found", "words found", "borne out")

_YES_OR_NO = re.compile(
    r"(?i)^\W*(?P<yes>yes|no|true|false|是的|不是|是|否|对|不对|有|没有|会|不会|はい|いいえ)(?=$|[\s,.;:!，。；：！、])[\s,.;:!，。；：！、]*"
)
_OPEN = re.compile(
    r"(?i)^\W*(?:who|whom|whose|when|where|which|what|why|how)\b|^(?!.*(?:吗|是否|是不是)).*(?:谁|什么|哪|多少|为何)"
)
_NO = frozenset(["no", "false", "不是", "否", "不对", "没有", "不会", "いいえ"])
_FIGURE = re.compile(r"\d")
_BOTH = re.compile(r"(?i)\bboth\b(?!.{0,200}\bsame\b)")
_COUNTED = re.compile(
    r"(?i)\bhow (?:many|much|long|tall|high|old|heavy|deep|wide|far)\b"
    r"|多[少长高大重深宽远]|(?<!哪)几[个名位人年天次点岁]"
)


@dataclass(frozen=True)
class ShownPassage:
    """A passage as it is judged: the document's text of it, under a line of context that is no evidence itself.

    `below` are the contexts of the sections in it, each with where it begins, where there are several; `dated` are
    words such as `yesterday`, with the times that they mean.
    """

    text: str
    context: str = ""
    cut: tuple[Span, ...] | None = None
    below: tuple[tuple[int, str], ...] = ()
    dated: tuple[DatedWords, ...] = ()

    @classmethod
    def of(cls, chunk: Chunk, document: str) -> ShownPassage:
        """A chunk of a document, cut into that document's sentences."""
        spans = whole_sentences(document, chunk.start, chunk.end)
        cut = tuple((max(start, chunk.start) - chunk.start, min(end, chunk.end) - chunk.start) for start, end in spans)
        below = tuple((start - chunk.start, chunk.lines_over(start)) for start, _ in chunk.below)
        dated = tuple(read_relative_dates(chunk.text, chunk.context_lines))
        return cls(chunk.text, chunk.context_lines, cut, below, dated)

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """Where its sentences stand."""
        return tuple(sentences(self.text)) if self.cut is None else self.cut

    @cached_property
    def windows(self) -> list[SentenceRow]:
        """Its sentences, as many in a row as are read together; what stands under another heading is not."""
        parts = (list(part) for _, part in groupby(self.spans, lambda span: self.context_at(span[0])))
        return [
            SentenceRow(self, tuple(spans[at : at + NEAR]), self.context_at(spans[0][0]))
            for spans in parts
            for at in range(max(1, len(spans) - NEAR + 1))
        ]

    def said(self, span: Span) -> str:
        """What stands there, with the times that its words mean."""
        return note_dates(self.text[slice(*span)], self.dated, span[0])

    def context_at(self, place: int) -> str:
        """The context of what stands there."""
        at = bisect(self.below, place, key=lambda part: part[0]) - 1
        return self.below[at][1] if at >= 0 else self.context

    def around(self, spans: Sequence[Span]) -> str:
        """The context, and its text from the sentence before the first of some spans to the last; without any, all."""
        first = min(spans, default=(0, 0))[0]
        start = max((begin for begin, _ in self.spans if begin < first), default=first)
        text = self.text[start : max((end for _, end in spans), default=len(self.text))]
        return f"{self.context_at(first)}\n{text}".strip()


@dataclass(frozen=True)
class SentenceRow:
    """Sentences in a row of a passage."""

    evidence: ShownPassage
    spans: tuple[Span, ...]
    context: str

    @cached_property
    def sentences(self) -> list[Statement]:
        """Each of them."""
        return [Statement(self.evidence.said(span)) for span in self.spans]

    @cached_property
    def values(self) -> frozenset[Value]:
        """The values of them all, and of the context."""
        known = read_values(self.context)
        return frozenset().union(known.values, known.implied, *(sentence.values for sentence in self.sentences))

    @cached_property
    def stems(self) -> frozenset[str]:
        """The stems of them all, and of the context."""
        return frozenset(stems(self.context)).union(*(sentence.stems for sentence in self.sentences))


@dataclass(frozen=True, slots=True)
class Judgement:
    """How far evidence bears out a claim, and by which sentences: the passage's number, and where in it they stand."""

    claim: str
    support: Support
    passage: int = 0
    spans: tuple[Span, ...] = ()


def judge_answer(answer: str, question: str, passages: Sequence[ShownPassage]) -> tuple[Judgement, ...]:
    """Judge every sentence of an answer."""
    return tuple(_judge(answer[start:end], question, passages) for start, end in sentences(answer))


def _judge(sentence: str, question: str, passages: Sequence[ShownPassage]) -> Judgement:
    opened = _YES_OR_NO.match(sentence)
    said = _YES_OR_NO.sub("", sentence)
    if not content_stems(said):
        return _judge_yes(sentence, opened is not None and opened["yes"].lower() in _NO, question, passages)
    claim, asked = Statement(said), Statement(question)
    judged = (
        Judgement(sentence, _support(claim, asked, window), number, _find_bearing(claim, window))
        for number, passage in enumerate(passages)
        for window in passage.windows
    )
    return max(judged, key=lambda one: RANKS.index(one.support), default=Judgement(sentence, "not found"))


def _support(claim: Statement, asked: Statement, window: SentenceRow) -> Support:
    if claim.source and claim.source <= asked.stems - window.stems:
        claim = claim.without_source()
    if not _is_found(claim, asked, window):
        return "not found"
    clause, _ = _core(claim, asked, window)
    alike = len(claim.words & clause.words) >= max(2, SAME_WORDS * len(claim.words))
    if (alike or denies(claim.text)) and contradict(claim.text, clause.text):
        return "not found"
    if alike and len(claim.clauses()) == 1 and is_exchanged(claim.text, clause.text):
        return "not found"
    if any(is_resequenced(claim.text, sentence.text) for sentence in window.sentences):
        return "not found"
    if not _repeats(claim, asked):
        return (
            "words found"
            if _COUNTED.search(asked.text) and not (claim.reading.values or _FIGURE.search(claim.text))
            else "borne out"
        )
    return "borne out" if _speaks_of_it(claim, window, asked) else "words found"


def _repeats(claim: Statement, asked: Statement) -> bool:
    """Return whether a claim says words of the question again, and so names its own subject; a phrase names none."""
    return any(len(word) > 1 for word in claim.words & asked.words)


def _is_found(claim: Statement, asked: Statement, window: SentenceRow) -> bool:
    """Return whether the values, the names and most of the words beyond the question's are there."""
    new = claim.words - asked.words
    values = claim.reading.values - (asked.reading.values if new else frozenset())
    words = new or claim.words - asked.words if values else new or claim.words
    names = claim.names & words
    there = words & window.stems
    return not lacks(window.values, values) and names <= window.stems and len(there) >= SHARE * len(words)


def _core(claim: Statement, asked: Statement, window: SentenceRow) -> tuple[Statement, str]:
    """The clause that has most of the claim, and what stands before it."""
    before, best = window.context, (-1.0, Statement(""), "")
    for sentence in window.sentences:
        for clause in sentence.clauses():
            held = len(claim.reading.values) - len(lacks(clause.values, claim.reading.values))
            score = len(claim.words & clause.words) + 2 * held + 0.3 * len(asked.words & clause.words)
            best = max(best, (score, clause, before), key=lambda item: item[0])
            before = f"{before} {clause.text}"
    return best[1], best[2]


def _speaks_of_it(claim: Statement, window: SentenceRow, asked: Statement) -> bool:
    """Return whether the clauses that speak of the claim's subject hold its values and new words."""
    before, values, words = window.context, set[Value](), set[str]()
    for sentence in window.sentences:
        reporter = ""
        for clause in sentence.clauses():
            reporter = clause.subject if clause.reports else reporter
            if admits(clause, claim, before) or (claim.reports and reporter == claim.subject != ""):
                values |= clause.values
                words |= clause.stems
            before = f"{before} {clause.text}"
    wanted = claim.words - asked.words or claim.words
    whole = len(claim.words & (words | frozenset(stems(window.context)))) >= SHARE * len(claim.words)
    return not lacks(values, claim.reading.values) and len(wanted & words) >= SHARE * len(wanted) and whole


def _find_bearing(claim: Statement, window: SentenceRow) -> tuple[Span, ...]:
    """Where the sentences stand that have some of the claim."""
    scores = [
        len(claim.words & sentence.words)
        + 2 * (len(claim.reading.values) - len(lacks(sentence.values, claim.reading.values)))
        for sentence in window.sentences
    ]
    best = max(scores)
    return tuple(span for span, score in zip(window.spans, scores, strict=True) if score and score * 2 >= best)


def _judge_yes(sentence: str, no: bool, question: str, passages: Sequence[ShownPassage]) -> Judgement:
    """Judge a mere yes or no: borne out where a clause has most of the question's words, and says the same."""
    asked = Statement(question)
    windows = [(number, window) for number, passage in enumerate(passages) for window in passage.windows]
    there = frozenset[str]().union(*(window.stems for _, window in windows))
    same = tell_same(question, [f"{passage.context}\n{passage.text}" for passage in passages])
    if _OPEN.search(question) or (same is None and len(asked.words & there) < TOUCHED * max(1, len(asked.words))):
        return Judgement(sentence, "not found")
    number, window = max(windows, key=lambda item: len(asked.words & item[1].stems))
    clause, before = _core(asked, asked, window)
    if same is None and _BOTH.search(question):
        same = _holds_of_both(asked, windows)
    elif same is None and len(asked.words & (clause.words | content_stems(before))) >= max(
        2, TOUCHED * len(asked.words)
    ):
        same = not contradict(question, clause.text)
    support: Support = "words found" if same is None else "borne out" if same != no else "not found"
    return Judgement(sentence, support, number, _find_bearing(asked, window))


def _holds_of_both(asked: Statement, windows: Sequence[tuple[int, SentenceRow]]) -> bool | None:
    """Return whether each passage that names one of two has what is asked of both; None where fewer than two do."""
    wanted = asked.words - asked.names - frozenset(stems("both"))
    known: dict[tuple[int, str], frozenset[str]] = {}
    for number, window in windows:
        known[number, window.context] = known.get((number, window.context), frozenset()) | window.stems
    named = [words for words in known.values() if asked.names & words]
    return all(wanted <= words for words in named) if len(named) > 1 else None
