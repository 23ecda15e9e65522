"""Dates as texts write them, in English, Chinese and figures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import regex

from memorag_core.text.numerals import small_number

_MONTHS = (
    "jan(?:uary)? feb(?:ruary)? mar(?:ch)? apr(?:il)? may june? july? aug(?:ust)? sept?(?:ember)? oct(?:ober)? "
    "nov(?:ember)? dec(?:ember)?"
)
_MONTH = "(?:" + "|".join(f"(?P<m{number}>{name})" for number, name in enumerate(_MONTHS.split(), start=1)) + r")\b\.?"
_OTHER_MONTHS = (
    "jan(?:uar|ner)?|enero|ene feb(?:ruar)?|febrero märz|mär|marzo apr(?:il)?|abril|abr mai|mayo juni?|junio|jun "
    "juli?|julio|jul aug(?:ust)?|agosto|ago sept?(?:ember)?|septiembre okt(?:ober)?|octubre nov(?:ember)?|noviembre "
    "dez(?:ember)?|diciembre|dic"
)
_OTHER_MONTH = (
    "(?:" + "|".join(f"(?P<m{number}>{name})" for number, name in enumerate(_OTHER_MONTHS.split(), start=1)) + r")\b\.?"
)
"""In German and Spanish."""
_DAY = r"(?P<d>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<y>\d{4})"
HAN_NUMERAL = "[零〇一二三四五六七八九十]"
_A_YEAR = regex.compile(r"(?<!\d)(?:1\d|20)\d\d(?!\d)")
DATES = [
    regex.compile(pattern)
    for pattern in (
        r"\b(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})\b",
        rf"(?:(?P<y>\d{{4}}|{HAN_NUMERAL}{{4}})\s*年\s*)(?P<m>\d{{1,2}}|{HAN_NUMERAL}{{1,3}})\s*月(?:\s*(?P<d>\d{{1,2}}|{HAN_NUMERAL}{{1,3}})\s*[日号])?",
        rf"(?P<m>\d{{1,2}}|{HAN_NUMERAL}{{1,3}})\s*月\s*(?P<d>\d{{1,2}}|{HAN_NUMERAL}{{1,3}})\s*[日号]",
        rf"\b{_DAY}(?:\s+of)?\s+{_MONTH}(?:,?\s+{_YEAR}\b)?",
        rf"\b{_MONTH}\s+{_DAY}\b(?:,?\s+{_YEAR}\b)?",
        rf"\b{_MONTH},?\s+{_YEAR}\b",
    )
]
"""Of text in small letters: groups `y`, `m` or one of `m1` to `m12`, and `d`."""
_STAMPS = [
    regex.compile(r"(?<![\d.])(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})(?!\.?\d)"),
    regex.compile(r"(?<![\d.])(?P<d>0\d|[12]\d|3[01])\.(?P<m>0\d|1[0-2])\.(?P<y>\d\d)(?!\.?\d)"),
    regex.compile(r"(?<![\d.])(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d\d)(?=,? (?:um )?\d{1,2}:\d\d)"),
    regex.compile(r"(?<![\d/])(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4}|\d{2}),? \d{1,2}:\d\d(?::\d\d)?\s?[ap]\.?m\b"),
    regex.compile(r"(?<!\d)(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)(?=t\d\d:)"),
    regex.compile(rf"(?<!\d)(?P<d>\d{{1,2}})\.?\s+(?:de\s+)?{_OTHER_MONTH}\s+(?:del?\s+)?{_YEAR}\b"),
]
"""Of chats and mails: `08.05.23` puts the day first, and `5/8/23, 1:56 pm` the month; other strokes may mean either.

`3.4.12` is the number of a section.
"""
_DAYS = [*DATES, *_STAMPS]
_WEEKDAY = "(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:mon|diens|donners|frei|sams|sonn)tag|mittwoch"
_BEFORE = regex.compile(
    r"(?:[^\[\]\n.]{1,40},\s\[)?[\s\u200e\u200f\u202a\[(<>*_-]*"
    r"(?:(?:date|sent|datum|gesendet|fecha|enviado|日期|发送时间|送信日時)[:：]\s*"
    r"|(?:on|am|el)\s+(?=\p{L}{2,10}\.?,|[^\n]{1,99}(?:schrieb|escribió)\b))?"
    rf"(?:(?:\p{{L}}{{2,10}}\.?,|{_WEEKDAY})\s*(?:den\s+)?)?"
)
_UNSURE = regex.compile(r"\d{1,2}[/-]\d{1,2}[/-]\d{2,4}\b")
"""A day of which may be the month."""
_GOES_ON = regex.compile(r",?\s+(?!(?:at|um|a las|von|from|to)\b)\p{Ll}")
"""How a sentence goes on behind a day that it begins with: `8 May 1945 was a Tuesday`."""
CENTURY, SHORT = 2000, 2


def month_of(parts: Mapping[str, str | None]) -> int:
    """The month that the groups of one of `DATES` name."""
    return next((number for number in range(1, 13) if parts.get(f"m{number}")), 0) or int(
        small_number(parts["m"] or "0")
    )


def last_day(text: str) -> date | None:
    """The day that is named last in a text, with its year; None where none is."""
    small = text.lower()
    found = [(match.end(), day) for pattern in _DAYS for match in pattern.finditer(small) if (day := _day(match))]
    return max(found, default=(0, None))[1]


def leading_day(line: str, known: date | None) -> date | None:
    """The day that a line begins with, as stamps of a chat and headers of a mail do; `known` where it begins with none.

    None where it begins with one that has no year, or may mean two days.
    """
    small = line.lower()
    start = _BEFORE.match(small).end()
    found = [match for pattern in _DAYS if (match := pattern.match(small, start))]
    if not found or (regex.search("[a-z]", found[0].group()) and _GOES_ON.match(line, found[0].end())):
        return None if _UNSURE.match(small, start) and not found else known
    return next(filter(None, map(_day, found)), None)


def names_time(text: str) -> bool:
    """Whether a text names a day, a month of a year, or a year."""
    small = text.lower()
    return _A_YEAR.search(small) is not None or any(pattern.search(small) for pattern in DATES)


def _day(match: regex.Match[str]) -> date | None:
    parts = match.groupdict()
    year, day = parts.get("y"), parts.get("d")
    if not year or not day:
        return None
    try:
        return date(
            int(small_number(year)) + (CENTURY if len(year) == SHORT else 0), month_of(parts), int(small_number(day))
        )
    except ValueError:
        return None  # the 31st of February is no day
