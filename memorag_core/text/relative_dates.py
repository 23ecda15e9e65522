"""Which day words such as `yesterday` mean, where it is known on which day they were said.

Only words that mean one day, week, month or year: `next Friday` and `a few days ago` do not, and `today` may be the
day on which a text is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Literal, NamedTuple

from memorag_core.text.date_lines import date_lines, find_date_over
from memorag_core.text.numerals import CARDINALS, english_number, small_number
from memorag_core.types import BETWEEN_HEADINGS

Unit = Literal["day", "week", "weekend", "month", "year"]

_WEEK = "[个個]?(?:[周週]|星期)(?![一二三四五六日天末围圍期边邊])"
_YEAR_ENDS = "(?![轻輕龄齡纪紀代幼少])"
_MONTH_ENDS = "(?![亮光球台])"
"""What makes other words of the end of those before: `如今|年轻人`, `晚上|月亮`."""
_WORDS: dict[tuple[Unit, int], tuple[str, str]] = {
    ("day", -2): (
        "the day before yesterday",
        "(?<![目以之眼提大])前天(?![气氣])|一昨日|vorgestern|anteayer|antes de ayer",
    ),
    ("day", -1): ("yesterday|last night", "昨天|昨晚|昨日|gestern|ayer|anoche"),
    ("day", 1): ("tomorrow", "明天|明日"),
    ("day", 2): ("the day after tomorrow", "(?<![以之然先最今大])[后後]天(?![气氣])|明後日|übermorgen|pasado mañana"),
    ("weekend", -1): ("last weekend", "(?<!上)上[个個]?[周週]末|先週末|letztes Wochenende"),
    ("week", -1): ("last week", f"(?<!上)上{_WEEK}|先週|letzte Woche|la semana pasada"),
    ("week", 1): ("next week", f"(?<!下)下{_WEEK}|(?<!再)来週(?!末)|nächste Woche|la próxima semana"),
    ("month", -1): ("last month", f"(?<![晚上])上[个個]?月{_MONTH_ENDS}|先月|letzten Monat|el mes pasado"),
    ("month", 0): ("this month", "这个?月|這個月|今月|diesen Monat|este mes"),
    ("month", 1): ("next month", f"(?<!下)下[个個]?月{_MONTH_ENDS}|(?<!再)来月|nächsten Monat|el próximo mes"),
    ("year", -1): ("last year", f"(?<![过過失])去年{_YEAR_ENDS}|(?<!一)昨年|letztes Jahr|el año pasado"),
    ("year", 0): ("this year", f"今年{_YEAR_ENDS}|dieses Jahr|este año"),
    ("year", 1): (
        "next year",
        f"明年{_YEAR_ENDS}|(?<![后後原本从從近将將再])来年{_YEAR_ENDS}|nächstes Jahr|el próximo año",
    ),
}
"""English, and other languages: which unit of time is meant, counted from the one in which the words are said."""
_UNITS: dict[str, Unit] = {
    **dict.fromkeys(["day", "天", "日", "tag", "día"], "day"),
    **dict.fromkeys(["week", "周", "星期", "週間", "woche", "semana"], "week"),
    "weekend": "weekend",
    **dict.fromkeys(["month", "个月", "個月", "か月", "ヶ月", "monat", "mes"], "month"),
    **dict.fromkeys(["year", "年", "jahr", "año"], "year"),
}
_OTHER_NUMBERS = {"einem": 1, "einer": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5}
_OTHER_NUMBERS |= {"un": 1, "una": 1, "dos": 2, "tres": 3, "cuatro": 4, "cinco": 5}
_NUMBERS = _OTHER_NUMBERS | {"a": 1, "an": 1}
_TO_NINE, _TO_NINETEEN, _TENS = (
    "|".join(word for word, number in CARDINALS.items() if low <= number < high)
    for low, high in ((1, 10), (10, 20), (20, 100))
)
_FIGURES = r"(?<![\d.,/~～–—-])\d{1,2}"
_ENGLISH_COUNT = rf"{_FIGURES}|\b(?<!-)(?:(?:{_TENS})(?:[ -](?:{_TO_NINE}))?|{_TO_NINETEEN}|{_TO_NINE}|an?)"
_HAN = "[一二三四五六七八九]"
_CHINESE_COUNT = (
    rf"(?<![月第到至])(?<![一二三四五六七八九\d]、){_FIGURES}"
    rf"|(?<![零〇一二三四五六七八九十百千万萬亿億两兩几幾数數多月第到至])(?<![一二三四五六七八九\d]、)(?:{_HAN}?十{_HAN}?|{_HAN}|[两兩])"
)
_OTHER_COUNT = rf"{_FIGURES}|{'|'.join(_OTHER_NUMBERS)}"
"""Up to 99: who says `200 years ago` does not mean that year; nor does who says `两三年前`, two or three."""
_AGO = (
    rf"(?P<count0>{_ENGLISH_COUNT}) (?P<unit0>day|weekend|week|month|year)s? ago\b",
    rf"(?P<count1>{_CHINESE_COUNT}) ?(?P<unit1>天|日(?=前[ぁ-ん])|周|星期|週間|个月|個月|か月|ヶ月|年)"
    r"[之以]?前(?![后後半])",
    rf"\bvor (?P<count2>{_OTHER_COUNT}) (?P<unit2>Tag|Woche|Monat|Jahr)(?:en|n|e)?\b",
    rf"\bhace (?P<count3>{_OTHER_COUNT}) (?P<unit3>día|semana|mes|año)(?:es|s)?\b",
)
_WEEKDAYS = [
    f"{day}|(?-i:{short})"
    for day, short in {
        "monday": "Mon",
        "tuesday": "Tues?",
        "wednesday": "Weds?",
        "thursday": "Thu(?:rs?)?",
        "friday": "Fri",
        "saturday": "Sat",
        "sunday": "Sun",
    }.items()
]
_LETTER = "[A-Za-zÀ-ž]"


def _any(kind: str, words: Iterable[str]) -> str:
    """One of some patterns, in a group of its kind and number."""
    return "(?:" + "|".join(f"(?P<{kind}{number:02}>{pattern})" for number, pattern in enumerate(words)) + ")"


_ENGLISH = _any("english", (english for english, _ in _WORDS.values()))
_OTHER = _any("other", (others for _, others in _WORDS.values()))
_SAID = re.compile(
    rf"\b(?:{_ENGLISH}|last {_any('weekday', _WEEKDAYS)})\b(?!['’]s\b| of\b| but one\b)|{_any('ago', _AGO)}"
    rf"|(?<!{_LETTER}){_OTHER}(?!{_LETTER})",
    re.IGNORECASE,
)
_IN_A_TALE = re.compile(r"\b(?:the|her|his|its|our|your|their|of|die|der|den|dem|das) \Z", re.IGNORECASE)
"""What stands before words that are counted from another day: `the next day`, `her last year of school`."""
_ROUGHLY = re.compile(
    rf"(?:\b(?:half|many|or|to|than|over|under|almost|nearly|least|{_TENS}|{_TO_NINETEEN}|{_TO_NINE})"
    r"|\b(?:year|month|week|day|hundred|thousand)s?(?: and)?) \Z",
    re.IGNORECASE,
)
"""What stands before a part of a time, or of one that is not said to the unit: `more than two years ago`."""
_LONGEST_BEFORE = 14
_SATURDAY = 5


class DatedWords(NamedTuple):
    """Words at `text[start:end]`, and the time they mean: `7 May 2023`, `1 to 7 May 2023`, `May 2023`, `2023`."""

    start: int
    end: int
    time: str


def note_dates(text: str, dated: Iterable[DatedWords], start: int = 0) -> str:
    """A text with each time in square brackets behind the words that mean it; theirs are places in a longer text.

    Args:
        start: where the text begins in the longer one.
    """
    parts, at = list[str](), 0
    for words in dated:
        if start <= words.start and words.end <= start + len(text):
            parts += [text[at : words.end - start], f" [{words.time}]"]
            at = words.end - start
    return "".join([*parts, text[at:]])


def read_relative_dates(text: str, lines_over: str) -> Iterator[DatedWords]:
    """Words of a text that mean another time than they say, in order.

    They were said on the last day that is named in the lines which the text stands under, or at the beginning of their
    own line or one before, as in chats, or in a heading there; see `date_lines`. Where no such day is named, nothing
    is found.
    """
    at, over = 0, find_date_over(lines_over.replace(BETWEEN_HEADINGS, "\n").splitlines())
    for line, (_, said, _) in date_lines(text, over):
        if said:
            yield from (found._replace(start=at + found.start, end=at + found.end) for found in _read(line, said))
        at += len(line)


def _read(line: str, said: date) -> Iterator[DatedWords]:
    for match in _SAID.finditer(line):
        before = line[max(0, match.start() - _LONGEST_BEFORE) : match.start()]
        rough = str(match.lastgroup).startswith("ago") and _ROUGHLY.search(before)
        if not (rough or _IN_A_TALE.search(before)) and (time := _write(said, *_measure(match, said))):
            yield DatedWords(*match.span(), time)


def _measure(match: re.Match[str], said: date) -> tuple[Unit, int, bool]:
    """The unit of time that words mean, how many from the one in which they were said, and whether in English."""
    kind, number = str(match.lastgroup)[:-2], int(str(match.lastgroup)[-2:])
    if kind == "weekday":
        return "day", -((said.weekday() - number) % 7 or 7), True
    if kind == "ago":
        return _UNITS[match[f"unit{number}"].lower()], -_count(match[f"count{number}"].lower()), number == 0
    return *list(_WORDS)[number], kind == "english"


def _count(words: str) -> int:
    if words in _NUMBERS:
        return _NUMBERS[words]
    return int(english_number(words) if words.isascii() and not words.isdecimal() else small_number(words))


def _write(said: date, unit: Unit, count: int, english: bool) -> str:
    """The unit of time that is so many from that of a day, in English or in figures; before the calendar, nothing."""
    try:
        if unit == "year":
            return f"{date(said.year + count, 1, 1).year}"
        if unit == "month":
            months = 12 * said.year + said.month - 1 + count
            first = date(months // 12, months % 12 + 1, 1)
            return first.strftime("%B %Y") if english else first.strftime("%Y-%m")
        first = said - timedelta(said.weekday()) + timedelta(7 * count)
        if unit == "day":
            days = [said + timedelta(count)]
        elif unit == "weekend":
            days = [first + timedelta(_SATURDAY), first + timedelta(_SATURDAY + 1)]
        else:
            days = [first, first + timedelta(6)]
    except (ValueError, OverflowError):
        return ""
    return " to ".join(f"{day.day} {day:%B %Y}" if english else day.isoformat() for day in days)
