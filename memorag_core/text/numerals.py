"""Numbers in words, English and Chinese, as what they are worth."""

from __future__ import annotations

import re
from fractions import Fraction

_UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_TEENS = ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
]
SCALES = {"hundred": 100, "dozen": 12, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
CARDINALS = (
    {word: number for number, word in enumerate([*_UNITS, *_TEENS])}
    | {word: 20 + 10 * number for number, word in enumerate(_TENS)}
)  # fmt: skip
ORDINALS = (
    {word: number for number, word in enumerate(_ORDINALS, start=1)}
    | {f"{word}th": number for number, word in enumerate(_TEENS, start=13)}
    | {f"{word[:-1]}ieth": 20 + 10 * number for number, word in enumerate(_TENS)}
)  # fmt: skip
_WORDS = CARDINALS | ORDINALS | {"twice": 2}
_DIGITS = {character: number for number, character in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
_PLACES = {"十": 10, "百": 100, "千": 1000}
_MYRIADS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50}

_ONE = "|".join(sorted({*_WORDS, *SCALES}, key=len, reverse=True))
_BETWEEN = r"(?:[\s-]+|\s+and\s+(?<=hundred and ))"
ENGLISH = rf"(?:(?:a|an)\s+(?=hundred|dozen|thousand|million))?\b(?:{_ONE})\b(?:{_BETWEEN}(?:{_ONE})\b)*"
CHINESE = r"[零〇一二三四五六七八九十两兩][零〇一二三四五六七八九十百千万萬亿億两兩]*"
ROMAN = r"(?=[IVXL])(?:X{0,3}|XL|L)(?:IX|IV|V?I{0,3})"


def english_number(words: str) -> Fraction:
    """What English number words are worth: `two hundred and five`, `nineteen sixty-three` (a year), `twenty-first`."""
    total, group = 0, 0
    for word in re.findall(r"[a-z]+", words):
        if word == "hundred" or word == "dozen":
            group = max(group, 1) * SCALES[word]
        elif word in SCALES:
            total, group = total + max(group, 1) * SCALES[word], 0
        elif word in _WORDS:
            number = _WORDS[word]
            year = 10 <= group < 100 and number >= 10
            group = group * 100 + number if year else group + number
    return Fraction(total + group)


def chinese_number(characters: str) -> Fraction:
    """What Chinese numerals are worth: `一亿二千万`, `三百零五`, `一九二七` (digit by digit)."""
    if len(characters) > 1 and all(character in _DIGITS for character in characters):
        return Fraction("".join(str(_DIGITS[character]) for character in characters))
    total = section = digit = 0
    for character in characters:
        if character in _DIGITS:
            digit = _DIGITS[character]
        elif character in _PLACES:
            section, digit = section + (digit or 1) * _PLACES[character], 0
        else:
            worth = _MYRIADS[character]
            whole = worth > 10**4  # what is above a larger unit is multiplied by it, not what is above a smaller one
            total = (total + section + digit) * worth if whole else total + (section + digit) * worth
            section = digit = 0
    return Fraction(total + section + digit)


def small_number(digits: str) -> Fraction:
    """What figures or Chinese numerals are worth."""
    return Fraction(digits) if digits.isdecimal() else chinese_number(digits)


def roman_number(letters: str) -> Fraction:
    """What a Roman numeral is worth."""
    worths = [_ROMAN[letter] for letter in letters]
    pairs = zip(worths, [*worths[1:], 0], strict=True)
    return Fraction(sum(-worth if worth < following else worth for worth, following in pairs))
