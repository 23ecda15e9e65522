"""Answers and summaries of generators too small to write: whole sentences of the evidence, to the letter."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from memorag_core.query.answerable import asked_words
from memorag_core.query.statements import refers_back
from memorag_core.text.central import PERSON, is_told, weigh_sentences
from memorag_core.text.date_lines import find_date_line
from memorag_core.text.dates import names_time
from memorag_core.text.relative_dates import note_dates, read_relative_dates
from memorag_core.text.source_text import SourceText
from memorag_core.text.terms import HAN, content_stems, stems, terms
from memorag_core.text.values import lacks, read_values
from memorag_core.text.wrapped import whole_sentences
from memorag_core.types import Chunk, Claim, Clue, Passage, Place

Sentence = tuple[int, Place, str]
"""A sentence of the evidence: the passage's number, its place, its text."""

HEADED, TOGETHER, RANKED, KIND, ATTENDED = 1.0, 0.45, 0.35, 0.25, 0.3
"""What adds to the share of the question that a sentence has: the share with its headings, that of its passage, first
evidence, the kind of answer asked for, a clue's place. All but the last were fitted leave-one-set-out (docs/log.md)."""
ADDED, EARLIER = 0.1, 0.1
"""A second sentence is looked for where a passage adds so much of the question; earlier evidence goes before later."""
COVERED = 0.6
FAR_BELOW = 1.2
"""A summary leaves out what is so much less central than its best sentence: speech mostly."""

_FIGURE = re.compile(
    r"(?i)\b(?:when|how (?:many|much|long|old|tall|high|far|deep|heavy)|(?:what|which) (?:year|date|time))\b"
    r"|多少|几|何时|什么时候|哪一?年|多[长高大重深宽远]"
)
_WHEN = re.compile(
    r"(?i)\b(?:when|wann|cuándo)\b|\b(?:what|which) (?:date|day|month|year)\b|何时|何時|什么时候|甚麼時候|哪一?[年天]"
    r"|いつ"
)
_WHO = re.compile(r"(?i)\b(?:who|whom|whose|where|which)\b|谁|哪")
_LINE_BREAK = re.compile(r"(?<!\s)[^\S\n]*+\n\s*+")
_NAME = re.compile(r"(?<=\w\W)[A-Z]\w+")
_BRACKETS = re.compile(r"\([^()]*\)")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A sentence of the evidence, with times in square brackets, and whether the question's words stand with it."""

    place: Place
    text: str
    on_topic: bool

    def claim(self, number: int) -> Claim:
        """What it claims, borne out by the quote of that number; it says so in any case, but of what was asked?"""
        return Claim(unwrap(self.text), "borne out" if self.on_topic else "words found", (number,))


def extract_answer(
    question: str, passages: Sequence[Passage], clues: Sequence[Clue], texts: SourceText
) -> list[Excerpt]:
    """Choose the sentence that answers most likely, and one that goes on where it leaves off, if there is one."""
    noted = _date_sentences(passages, _sentences(passages, texts))
    found = _add_date_lines(passages, noted) if _WHEN.search(question) else noted
    if not found:
        return []
    weighing = _Weighing(question, passages, found)
    seen = [clue.place for clue in clues if clue.place]
    first = max(range(len(found)), key=lambda at: (weighing.score(at, seen), -at))
    chosen = [first, *weighing.find_second(first)]
    judged = [one if _is_said(one, passages) else other for one, other in zip(found, noted, strict=True)]
    on_topic = any(_is_on_topic(question, judged, at, passages) for at in chosen)
    return [Excerpt(found[at][1], _name_speaker(found[at], passages), on_topic) for at in chosen]


class _Weighing:
    """What of a question each sentence of the evidence has, by the weights of its words: rare ones count more."""

    def __init__(self, question: str, passages: Sequence[Passage], found: Sequence[Sentence]) -> None:
        self.question, self.passages, self.found = question, passages, found
        self.bags = [frozenset(stems(text)) for _, _, text in found]
        over = [passages[number].chunk.lines_over(place.start) for number, place, _ in found]
        self.heads = [frozenset(stems(lines)) for lines in over]
        self.wholes = [frozenset(stems(passage.chunk.indexed)) for passage in passages]
        self.titles = [content_stems(_BRACKETS.sub("", passage.chunk.title)) for passage in passages]
        self.asked = asked_words(question)
        spread = Counter(word for bag in self.bags for word in bag)
        weights = {word: log(1 + len(found) / spread[word]) for word in self.asked & spread.keys()}
        total = sum(weights.values()) or 1.0
        self.weights = {word: weight / total for word, weight in weights.items()}

    def share(self, bag: frozenset[str], but: frozenset[str] = frozenset()) -> float:
        """The share of the question that some words have, those left out that stand elsewhere."""
        return sum(weight for word, weight in self.weights.items() if word in bag and word not in but)

    def score(self, at: int, seen: Sequence[Place]) -> float:
        """How likely a sentence answers: with the question's rarest words, from the first evidence."""
        number, place, text = self.found[at]
        held = self.share(self.bags[at]) + HEADED * self.share(self.bags[at] | self.heads[at])
        attended = any(place.overlaps(other) for other in seen)
        around = TOGETHER * self.share(self.wholes[number]) + RANKED / (1 + number)
        return held + around + KIND * _is_of_kind(self.question, text) + ATTENDED * attended

    def find_second(self, first: int) -> list[int]:
        """Find the sentence with most of what the first has not, in evidence that a question of two steps leads to."""
        here = self.found[first][0]
        told = self.bags[first] | self.heads[first]
        others = [n for n in range(len(self.passages)) if self._leads_to(n, here, told) and self._adds(n, told)]

        def score(at: int) -> float:
            number, bag = self.found[at][0], self.bags[at]
            return self.share(bag | self.heads[at], told) + self.share(bag, told) + EARLIER / (1 + number)

        ahead = [at for at in range(len(self.found)) if self.found[at][0] in others]
        return [max(ahead, key=lambda at: (score(at), -at))] if ahead else []

    def _adds(self, number: int, told: frozenset[str]) -> bool:
        return self.share(self.wholes[number], told) >= ADDED

    def _leads_to(self, number: int, here: int, told: frozenset[str]) -> bool:
        """Whether a passage is about another thing: one that the first names, or that the question names beside it."""
        title = self.titles[number]
        if not title or title == self.titles[here]:
            return False
        return not title & told if title <= self.asked else title <= self.wholes[here]


def extract_summary(focus: str, passages: Sequence[Passage], words: int, texts: SourceText) -> list[Excerpt]:
    """Choose sentences whose words most other evidence has too, each of another passage, in the order of the text.

    What is far below the best is left out, though words are left.
    """
    found = _sentences(passages, texts)
    scores = weigh_sentences([text for _, _, text in found], focus)
    chosen: list[int] = []
    used: set[int] = set()
    floor = max(scores, default=0.0) - FAR_BELOW
    for at in sorted(range(len(found)), key=lambda at: -scores[at]):
        size = len(terms(found[at][2]))
        if found[at][0] not in used and (not chosen or (size <= words and scores[at] >= floor)):
            chosen.append(at)
            used.add(found[at][0])
            words -= size
    order = {document: number for number, document in enumerate(texts.documents)}
    places = sorted((found[at] for at in chosen), key=lambda item: (order[item[1].document_id], item[1].start))
    return [Excerpt(place, text, True) for _, place, text in places]


def join_sentences(extracts: Sequence[Excerpt]) -> str:
    """One text of sentences: its own line breaks are spaces, and nothing is added between Chinese ones."""
    text = ""
    for extract in extracts:
        between = " " if text and not (HAN.search(text[-2:]) and HAN.match(extract.text)) else ""
        text += between + unwrap(extract.text)
    return text


def unwrap(text: str) -> str:
    """A text without line breaks."""
    return _LINE_BREAK.sub(lambda match: "" if _is_between_han(match) else " ", text)


def _is_between_han(match: re.Match[str]) -> bool:
    around = match.string[match.start() - 1 : match.start()] + match.string[match.end() : match.end() + 1]
    return len(HAN.findall(around)) == len(around)


def _sentences(passages: Sequence[Passage], texts: SourceText) -> list[Sentence]:
    """Every sentence of the evidence once, with the number of the first passage that it stands in; no headings."""
    places: dict[Place, int] = {}
    for number, passage in enumerate(passages):
        chunk = passage.chunk
        for start, end in whole_sentences(texts.documents[chunk.document_id].text, chunk.start, chunk.end):
            places.setdefault(Place(chunk.document_id, start, end), number)
    found = [(number, place, texts.at(place)) for place, number in places.items()]
    told = [item for item in found if is_told(item[2])]
    return told or found


def _date_sentences(passages: Sequence[Passage], found: Sequence[Sentence]) -> list[Sentence]:
    """Sentences with the times that their words mean."""
    chunks = [passage.chunk for passage in passages]
    dated = [list(read_relative_dates(chunk.text, chunk.context_lines)) for chunk in chunks]
    return [
        (number, place, note_dates(text, dated[number], place.start - chunks[number].start))
        for number, place, text in found
    ]


def _add_date_lines(passages: Sequence[Passage], found: Sequence[Sentence]) -> list[Sentence]:
    """Sentences that name a time, and others with the line that dates them."""

    def add(chunk: Chunk, place: Place, text: str) -> str:
        over = (chunk.document_title, *chunk.headings, chunk.date)
        line = "" if names_time(text) else find_date_line(chunk.text, over, place.start - chunk.start)
        return f"{text} [{line}]" if line else text

    return [(number, place, add(passages[number].chunk, place, text)) for number, place, text in found]


def _is_said(sentence: Sentence, passages: Sequence[Passage]) -> bool:
    """Whether a sentence is of talk or of who writes: what it tells of others did not happen on the day of its text."""
    number, _, text = sentence
    chunk = passages[number].chunk
    return bool(chunk.turns or chunk.speaker or PERSON.search(text))


def _name_speaker(sentence: Sentence, passages: Sequence[Passage]) -> str:
    """A sentence, with who said it in square brackets before it where its turn began before."""
    number, place, text = sentence
    name = passages[number].chunk.speaker_at(place.start)
    return f"[{name}] {text}" if name else text


def _is_of_kind(question: str, text: str) -> bool:
    """Whether a sentence has a figure where one is asked for, or a name."""
    if _FIGURE.search(question):
        return bool(read_values(text).values - read_values(question).values)
    return bool(_WHO.search(question)) and (HAN.search(text) is not None or bool(_NAME.search(text)))


def _is_on_topic(question: str, found: Sequence[Sentence], at: int, passages: Sequence[Passage]) -> bool:
    """Whether what a question speaks of stands with a sentence, its figures too, and the figure it asks for.

    With it: in it, in the line of context, or, where it begins with a pronoun, in the sentence before.
    """
    number, place, text = found[at]
    before = found[at - 1][2] if at and refers_back(text) else ""
    near = " ".join((passages[number].chunk.lines_over(place.start), before, text))
    asked, wanted, there = asked_words(question), read_values(question), read_values(near)
    together = len(asked & frozenset(stems(near))) >= COVERED * len(asked) and bool(asked & frozenset(stems(text)))
    figures = not lacks(there.values | there.implied, wanted.values)
    return together and figures and (not _FIGURE.search(question) or _is_of_kind(question, text))
