"""Numbers, dates, times and units of a text, read to values: `nineteen` is 19, `14:30` is 2:30 pm, a half is 50 %."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import regex

from memorag_core.text.dates import DATES, HAN_NUMERAL, month_of
from memorag_core.text.normal import normalize
from memorag_core.text.numerals import (
    CHINESE,
    ENGLISH,
    ORDINALS,
    ROMAN,
    SCALES,
    chinese_number,
    english_number,
    roman_number,
    small_number,
)

Figure = Fraction | str
LONGEST_NUMBER = 300
"""Characters of what is read as a number; longer ones are only compared as they are written."""
LONGEST_RANGE = 24
"""Characters of square brackets before the second day in them: `[26 September 2023 to 2 October 2023]`."""


class Value(NamedTuple):
    """What is measured (`""`: a bare number; else `length`, `date`, `time` …), how much in one unit, and as written."""

    kind: str
    amount: Figure
    written: Figure


_HOUR = rf"(?P<h>\d{{1,2}}|{HAN_NUMERAL}{{1,3}})"
_TIMES = [
    regex.compile(pattern)
    for pattern in (
        rf"(?P<half>凌晨|早上|早晨|清晨|上午|中午|下午|傍晚|晚上|夜里)?(?:(?<!\s)\s++)?{_HOUR}\s*[点點时時](?:(?P<q>半|一刻|三刻)|\s*(?P<i>\d{{1,2}}|{HAN_NUMERAL}{{1,3}})\s*分?|整|钟)?(?!\d)",
        r"(?P<half>上午|下午|晚上|早上)?(?<![\d.:])(?P<h>\d{1,2}):(?P<i>\d{2})(?!\d)(?:\s*(?P<half>[ap])\.?\s?m\b\.?)?",
        r"\b(?P<h>\d{1,2})(?:\.(?P<i>\d{2}))?\s*(?P<half>[ap])\.?\s?m\b\.?",
        r"\b(?P<half>noon|midnight|midday)\b",
    )
]
_AFTERNOON = ("p", "noon", "midday", "中午", "下午", "傍晚", "晚上", "夜里")
_QUARTERS = {"半": 30, "一刻": 15, "三刻": 45}
_MEASURES: dict[str, dict[str, str]] = {
    "length": {
        "1": r"m|met(?:re|er)s?|米|公尺",
        "1000": r"km|kilomet(?:re|er)s?|公里|千米",
        "1/100": r"cm|centimet(?:re|er)s?|厘米",
        "1/1000": r"mm|millimet(?:re|er)s?|毫米",
        "3048/10000": r"ft|foot|feet|英尺",
        "254/10000": r"inch(?:es)?|英寸",
        "1609344/1000": r"miles?|英里",
        "500": "里",
    },
    "mass": {
        "1": r"kg|kilos?|kilograms?|kilogrammes?|公斤|千克",
        "1/1000": r"g|grams?|grammes?|克",
        "1000": r"t|tons?|tonnes?|吨",
        "1/2": "斤",
    },
    "area": {
        "1": r"m2|m²|sq(?:uare|\.)? ?m(?:et(?:re|er)s?)?|平方米",
        "10000": r"ha|hectares?|公顷",
        "1000000": r"km2|km²|square kilomet(?:re|er)s?|平方公里",
    },
    "volume": {"1": r"l|lit(?:re|er)s?|升", "1000": r"m3|m³|cubic met(?:re|er)s?|立方米"},
    "speed": {"1": r"km/h|kph|公里/小时", "1609344/1000000": "mph", "1852/1000": "knots?|节"},
    "duration": {
        "1": r"s|secs?|seconds?|秒钟?",
        "60": r"min|minutes?|分钟",
        "3600": r"h|hours?|小时",
        "86400": r"days?|天",
        "604800": r"weeks?|周|星期",
        "2592000": r"months?|个月",
        "31536000": r"years?",
    },
    "dollar": {"1": r"\$|dollars?|usd|美元"},
    "euro": {"1": r"€|euros?|eur|欧元"},
    "pound": {"1": r"£|pounds?|gbp|英镑"},
    "yuan": {"1": r"¥|yuan|rmb|元|块钱?|人民币"},
    "crown": {"1": r"crowns?|kr\b\.?|kroner|kronor|克朗"},
    "celsius": {"1": r"°c|℃|degrees celsius|摄氏度"},
    "fahrenheit": {"1": r"°f|degrees fahrenheit|华氏度"},
    "share": {"1/100": r"%|per ?cent|percent"},
}
_FACTORS = [
    (kind, Fraction(factor), regex.compile(rf"[\s-]?(?:{names})(?![a-z/])"))
    for kind, factors in _MEASURES.items()
    for factor, names in factors.items()
]
_SPACE = " \u00a0\u202f"
_APART = regex.compile(rf"[{_SPACE}'’]")
_FIGURES = (
    rf"\d{{1,3}}(?:[{_SPACE},'’]\d{{3}})+(?!\d)(?:\.\d+)?|\d{{1,3}}(?:\.\d{{3}})+,\d+|\d+(?:\.\d+){{2,}}|\d+[.,]\d+|\d+"
)
_DENOMINATORS = ORDINALS | {"half": 2, "halve": 2, "quarter": 4}
_PARTS = "|".join(sorted(_DENOMINATORS, key=len, reverse=True))
_NUMBER = regex.compile(
    rf"百分之(?P<hundredth>{CHINESE}|\d+(?:\.\d+)?)"
    rf"|(?P<below>{CHINESE}|(?<!\d)\d++)分之(?P<above>{CHINESE}|\d+)"
    rf"|(?P<tenths>[一二三四五六七八九]|\d)成(?![立为為员功果分本长])"
    r"|(?P<halved>一半|半数|\bhalf\b)"
    rf"|\b(?P<count>an?|one|two|three|four|five|six|seven|eight|nine)[\s-]+(?P<part>{_PARTS})(?:s\b|\b(?=\s+of\b|\W*$|[,.;]))"
    r"|(?<![\d/])(?P<top>\d{1,2})/(?P<bottom>\d{1,3})(?![\d/])"
    rf"|(?P<currency>[$€£¥])?\s?(?<![\d.a-z])(?P<figures>{_FIGURES})(?:(?:st|nd|rd|th)\b|[\s-]?(?P<scale>thousand|million|billion|trillion|[万萬亿億]+))?"
    rf"|(?P<english>{ENGLISH})"
    rf"|(?P<chinese>{CHINESE})",
)
_ROMAN = regex.compile(rf"(?<=\b\p{{Lu}}\p{{Ll}}+ )(?P<roman>{ROMAN})\b(?<!\bI)")
_CURRENCIES = {"$": "dollar", "€": "euro", "£": "pound", "¥": "yuan"}
_HAN_SCALES = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}


@dataclass(frozen=True, slots=True)
class ValueReading:
    """The values that a text states, what else may be said of them (the year of a date), and its other words."""

    values: frozenset[Value]
    implied: frozenset[Value]
    rest: str


def read_values(text: str) -> ValueReading:
    """Read the numbers, dates, units and times of a text to values."""
    found = _Found()
    rest = normalize("NFKC", text.replace("²", "2").replace("³", "3"))
    rest = found.take(_ROMAN, rest, lambda match: found.count(roman_number(match["roman"]), "", 1)).lower()
    for patterns, read in ((DATES, found.date), (_TIMES, found.time)):
        for pattern in patterns:
            rest = found.take(pattern, rest, read)
    rest = found.take(_NUMBER, rest, found.number)
    return ValueReading(frozenset(found.values), frozenset(found.implied), rest)


def lacks(there: Iterable[Value], wanted: Iterable[Value]) -> list[Value]:
    """Those wanted values that are not there; where one side names no unit, the figures decide."""
    known = list(there)
    return [value for value in wanted if not any(_agree(value, other) for other in known)]


def _agree(one: Value, other: Value) -> bool:
    if one.kind and other.kind:
        return one.kind == other.kind and one.amount == other.amount
    return one.written == other.written


class _Found:
    """What is found while a text is read."""

    def __init__(self) -> None:
        self.values: list[Value] = []
        self.implied: list[Value] = []

    def take(self, pattern: regex.Pattern[str], text: str, read: Callable[[regex.Match[str]], None]) -> str:
        """Read every match, and leave a gap where it was."""
        rest, end = [], 0
        for match in pattern.finditer(text):
            if match.start() < end or not match.group():
                continue
            read(match)
            rest += [text[end : match.start()], " "]
            end = max(match.end(), self._end)
            self._end = 0
        return "".join([*rest, text[end:]])

    _end = 0
    """Where a unit behind the match ends."""

    def date(self, match: regex.Match[str]) -> None:
        """Read a date: its year is a number of its own, so that a part of it may be said alone.

        Its day too, unless it stands in square brackets, as in notes: `[7 May 2023]` bears out no `7 guests`.
        """
        parts = match.groupdict()
        month = Fraction(month_of(parts))
        if year := parts.get("y"):
            self._add("", small_number(year))
        if day := parts.get("d"):
            self._add("date", f"{month}-{small_number(day)}")
            if "[" not in match.string[max(0, match.start() - LONGEST_RANGE) : match.start()].rpartition("]")[2]:
                self._imply("day of a month", small_number(day))
            self._imply("month", month)
        else:
            self._add("month", month)

    def time(self, match: regex.Match[str]) -> None:
        """Read a time of day, by 24 hours; `2:30` may be said of 14:30."""
        parts = match.groupdict()
        half, hour = parts["half"] or "", small_number(parts.get("h") or "12")
        minute = _QUARTERS.get(parts.get("q") or "", 0) or small_number(parts.get("i") or "0")
        late = half in _AFTERNOON
        if hour == 12 and half and not late:
            hour = Fraction(0)
        self._add("time", f"{hour + 12 if late and hour < 12 else hour}:{minute}")
        self._imply("time", f"{(hour - 1) % 12 + 1}:{minute}")

    def number(self, match: regex.Match[str]) -> None:
        """Read a number, a share, or a quantity with the unit behind it."""
        if len(match.group()) > LONGEST_NUMBER:
            self._add("", match.group())
            return
        parts = match.groupdict()
        if (share := _share(parts)) is not None:
            self.values.append(Value("share", share, share))
            return
        amount = _amount(parts)
        if isinstance(amount, str):
            self._add("", amount)
            return
        kind, factor = self._unit(match)
        self.count(amount, kind, factor)

    def count(self, amount: Fraction, kind: str, factor: Fraction | int) -> None:
        """Add an amount of some unit."""
        self.values.append(Value(kind, amount * factor, amount))

    def _unit(self, match: regex.Match[str]) -> tuple[str, Fraction | int]:
        if sign := match["currency"]:
            return _CURRENCIES[sign], 1
        for kind, factor, unit in _FACTORS:
            if behind := unit.match(match.string, match.end()):
                self._end = behind.end()
                return kind, factor
        return "", 1

    def _add(self, kind: str, amount: Figure) -> None:
        self.values.append(Value(kind, amount, amount))

    def _imply(self, kind: str, amount: Figure) -> None:
        self.implied.append(Value(kind, amount, amount))


def _share(parts: dict[str, str | None]) -> Fraction | None:
    """A part of a whole: `half`, `two thirds`, `三分之一`, `百分之十二`, `一成`, `1/3`."""
    if parts["halved"]:
        return Fraction(1, 2)
    if parts["hundredth"]:
        return _decimal(parts["hundredth"]) / 100
    if parts["tenths"]:
        return small_number(parts["tenths"]) / 10
    above = parts["above"] or parts["top"]
    if above:
        below = small_number(parts["below"] or parts["bottom"] or "1")
        return small_number(above) / below if below else None
    if part := parts["part"]:
        count = parts["count"] or "a"
        return (Fraction(1) if count in ("a", "an") else english_number(count)) / _DENOMINATORS[part]
    return None


def _amount(parts: dict[str, str | None]) -> Figure:
    """A number in figures or words; one with several points (a version, a clause) as it is written."""
    if words := parts["english"]:
        return english_number(words)
    if characters := parts["chinese"]:
        return chinese_number(characters)
    figures = parts["figures"] or "0"
    scale = parts["scale"] or ""
    if figures.count(".") > 1 and "," not in figures:
        return figures
    number = _decimal(figures)
    for character in scale if scale not in SCALES else ():
        number *= _HAN_SCALES[character]
    return number * SCALES.get(scale, 1)


def _decimal(figures: str) -> Fraction:
    """Figures with points, commas or spaces: `1,250.5`, `1.250,50`, `1 250 000`."""
    if not figures[0].isdecimal():
        return chinese_number(figures)
    joined = _APART.sub("", figures)
    if regex.fullmatch(r"\d{1,3}(\.\d{3})+,\d+|\d+,(?!\d{3}\b)\d+", joined):
        joined = joined.replace(".", "").replace(",", ".")
    return Fraction(joined.replace(",", ""))
