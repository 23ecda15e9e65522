"""Lines that date what stands below them: headings, stamps of chats, headers of mails, dates alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import NamedTuple

from memorag_core.text.dates import last_day, leading_day
from memorag_core.text.talk import LONGEST_DATE

_SAID_BEHIND = re.compile(r"\A\D*+\d.*[:：]\s*[^\s\d]")
_LINE, _QUOTE = 0.5, 0.75
"""How deep below its heading a line that dates others is, and one that dates what a mail quotes."""
_HEADING = re.compile(r"#{1,6}\s")
_NONE = date.min
"""Of lines that name no day; those that name one which cannot be told have none."""
_QUOTES = (">", "On ", "Am ", "El ")


class Dating(NamedTuple):
    """A day from which on lines are dated: how deep below headings it is named, and the line that does."""

    depth: float
    said: date | None
    label: str


def find_date_over(lines: Iterable[str]) -> Dating:
    """What dates a text that stands under some lines: the last of them that names a day."""
    found = Dating(-1, None, "")
    for line in lines:
        if (day := _day_of(line)) != _NONE:
            found = Dating(-1, day, line)
    return found


def _day_of(heading: str) -> date | None:
    """The day that a heading names, `_NONE` where it names none; None where it begins with one that cannot be told."""
    return leading_day(heading.lstrip("# "), last_day(heading) or _NONE)


def date_lines(text: str, over: Dating) -> Iterator[tuple[str, Dating]]:
    """Each line, and what dates it.

    A heading ends what one of its depth or a deeper one has begun. What a mail quotes ends with the marks of the quote.
    """
    day: date | None
    dating, heading, quoted = [over], 0, False
    for line in text.splitlines(keepends=True):
        begin = line.lstrip()
        if marks := _HEADING.match(line):
            heading = marks.end() - 1
            dating = [one for one in dating if one.depth < heading]
            depth, day = float(heading), _day_of(line)
        else:
            depth, day = heading + (_QUOTE if begin.startswith(_QUOTES) else _LINE), leading_day(line, _NONE)
        if quoted and begin and not begin.startswith(">"):
            dating = [one for one in dating if one.depth % 1 != _QUOTE]
        quoted = begin.startswith(">") or (quoted and not begin)
        if day != _NONE:
            dating = [one for one in dating if one.depth < depth]
            dating.append(Dating(depth, day, line.strip("#*_ \t\r\n")))
        yield line, dating[-1]


def find_date_line(text: str, over: Iterable[str], at: int) -> str:
    """The line that says when what stands at a place of a text was said: before it there, or over the text; or none.

    Of a long line, or one with what was said, the day alone.
    """
    above = find_date_over(over)
    last = [above, *(dating for _, dating in date_lines(text[: max(at, 0)], above))][-1]
    is_date = len(last.label) <= LONGEST_DATE and not _SAID_BEHIND.search(last.label)
    return "" if not last.said else last.label if is_date else str(last.said)
