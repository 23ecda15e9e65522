"""Transcripts and chats: who speaks where, and under which date."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from memorag_core.text.slices import find_all
from memorag_core.text.values import read_values

SAMPLE = 200_000
TURNS, TURNS_A_SPEAKER = 10, 4
LONGEST_DATE, MOST_WORDS = 60, 4
"""Of a line that is a date: in characters, and in words beside the date."""

_NAME = r"[^\W\d_][\w .'’()&-]{0,38}?"
_CLOCK = r"\d\d?:\d\d(?::\d\d)?(?:[ ]?[AaPp]\.?[Mm]\b\.?)?"
_STAMP = rf"(?:\[[^\]\n]{{1,30}}\]|\([^)\n]{{1,30}}\)|\d[\d./-]{{5,9}},?[ ]{_CLOCK}|[\d:.]{{4,12}})(?:[ ][-–])?\s*"
_TURN = re.compile(
    rf"(?P<alone>{_NAME})[ \t,]{{1,4}}[\[(]?{_CLOCK}[\])]?[ \t]*$"
    rf"|(?:{_STAMP})?[*_]{{0,3}}(?:<(?P<nick>[^<>\n]{{1,38}})>"
    rf"|(?P<name>{_NAME})(?:\s*[\[(]{_CLOCK}[\])])?\s*[*_]{{0,3}}[:：](?!//|\d\d))",
    re.MULTILINE,
)
"""What begins a turn, at the beginning of a line: a name with or without a time, as transcripts and chats have it."""
_LINE = re.compile(r"\S[^\n]*")
_NUMERIC_DATE = re.compile(r"\b\d{1,4}[-/.]\d\d?[-/.]\d{2,4}\b")
_FIGURE = re.compile(r"[\d月]")
_WORD = re.compile(r"[^\W\d_]+")


class Mark(NamedTuple):
    """A line that says who speaks from there on, or of which date it is: where it begins, and what it says."""

    start: int
    label: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Talk:
    """The turns of a transcript, and the lines in it that are dates, both in order; how many speak more than once."""

    turns: Sequence[Mark] = ()
    dates: Sequence[Mark] = ()
    speakers: int = 0

    @classmethod
    def of(cls, text: str) -> Self:
        """Read a transcript; of any other text, nothing."""
        if not is_talk(text):
            return cls()
        lines = [match.span() for match in find_all(_LINE, text, 0, len(text))]
        turns = [turn for start, _ in lines if (turn := _read_turn(text, start))]
        often = {name for name, number in Counter(turn.name for turn in turns).items() if number > 1}
        said = {turn.start for turn in turns if turn.name in often}
        dates = [
            Mark(start, text[start:end].strip(" \t\r*_-=–—"))
            for start, end in lines
            if start not in said and end - start <= LONGEST_DATE and _is_date(text[start:end])
        ]
        ended = {date.start for date in dates}
        return cls([turn for turn in turns if turn.start not in ended], dates, len(often))

    def speaker_at(self, start: int, since: int) -> str:
        """Who is speaking at `start`, as the text has it, where the turn began before; no further back than `since`."""
        turn, date = _last(self.turns, start), _last(self.dates, start)
        since = max(since, date.start if date else 0)
        return turn.label if turn and since <= turn.start < start else ""

    def turns_in(self, start: int, end: int) -> tuple[tuple[int, str], ...]:
        """Where each turn begins that begins in `text[start:end]`, and whose it is."""
        first, last = (bisect_left(self.turns, place, key=lambda mark: mark.start) for place in (start, end))
        return tuple((turn.start, turn.name) for turn in self.turns[first:last])

    def date_at(self, start: int, since: int, headed: int) -> str:
        """The line that dates what stands at `start`: the last from `since` on, else one at the head of the text.

        The head is what stands before the first turn, and before `headed`.
        """
        date = _last(self.dates, start)
        if date is None or date.start < since:
            date = _last(self.dates, min([headed, *(turn.start for turn in self.turns[:1])]))
        return date.label if date else ""


def is_talk(text: str) -> bool:
    """Whether a text is a transcript: half of its lines or paragraphs are turns, `Name: …`, of who come back."""
    lines = [match.start() for match in _LINE.finditer(text, 0, SAMPLE)]
    firsts = [start for start in lines if _is_first(text, start)]
    return _are_turns(text, lines) or _are_turns(text, firsts)


def _is_first(text: str, start: int) -> bool:
    """Whether a line is the first of a paragraph, as far as the few characters before it tell."""
    before = text[max(0, start - 3) : start]
    blank = before[len(before.rstrip()) :]
    return blank.count("\n") > 1 or len(blank) == start


def _are_turns(text: str, starts: Sequence[int]) -> bool:
    names = [turn.name for start in starts if (turn := _read_turn(text, start))]
    return len(names) >= max(TURNS, len(starts) / 2, TURNS_A_SPEAKER * len(set(names)))


def _read_turn(text: str, start: int) -> Mark | None:
    match = _TURN.match(text, start)
    if match is None:
        return None
    name = match["name"] or match["nick"] or match["alone"]
    return Mark(start, match.group().rstrip(" \t*_:：").replace("*", ""), name)


def _is_date(line: str) -> bool:
    """Whether a line says a date and little else; a heading does so itself."""
    if line.startswith("#") or not _FIGURE.search(line):
        return False
    reading = read_values(line)
    dated = any(value.kind == "date" for value in reading.values) or _NUMERIC_DATE.search(line) is not None
    return dated and len(_WORD.findall(reading.rest)) <= MOST_WORDS


def _last(marks: Sequence[Mark], start: int) -> Mark | None:
    """The last of some marks that stands at `start` or before it."""
    at = bisect_right(marks, start, key=lambda mark: mark.start) - 1
    return marks[at] if at >= 0 else None
