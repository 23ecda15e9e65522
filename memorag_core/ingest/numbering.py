"""Numbers that a program writes before headings, clauses and items, as a reader sees them."""

from __future__ import annotations

SIGNS = ("m", "cm", "d", "cd", "c", "xc", "l", "xl", "x", "ix", "v", "iv", "i")
ROMAN = tuple(zip((1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1), SIGNS, strict=True))
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def numeral(number: int, form: str) -> str:
    """Write a number in one of Word's forms; in digits where it has none there."""
    if form == "decimalZero":
        return f"{number:02}"
    if number < 1 or number > 3999 or form not in {"lowerLetter", "upperLetter", "lowerRoman", "upperRoman"}:
        return str(number)
    written = _roman(number) if form.endswith("Roman") else _letters(number)
    return written.upper() if form.startswith("upper") else written


def _roman(number: int) -> str:
    out = ""
    for value, sign in ROMAN:
        out += sign * (number // value)
        number %= value
    return out


def _letters(number: int) -> str:
    """After `z` come `aa`, `bb`, as Word has them."""
    return ALPHABET[(number - 1) % 26] * ((number - 1) // 26 + 1)
