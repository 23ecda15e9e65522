"""How superscripts, subscripts and note marks are written in plain text, so that no number changes."""

from __future__ import annotations

import re

_NOTE = re.compile(r"[\d*†‡§, ]+\Z")
_POWER = re.compile(r"(?:(?<![\d.,])10|(?<!\d)\d{1,3}|[×·]\s?\d+|(?<![^\W\d])[^\W\d]{1,3}|[)\]])\Z")
_YEAR = re.compile(r"(?<![\d.,])\d{4}\Z")
_BRACKETS = "[](){}"


def superscript(before: str, raised: str, is_note: bool = False) -> str:
    """Write what is raised: `^6` behind `10` or `m`, `[4]` behind a word or a year, ordinals as they are."""
    mark = raised.strip()
    bare = mark.strip(_BRACKETS)
    if not bare:
        return raised
    if is_note or (mark[0] in _BRACKETS and _NOTE.match(bare)):
        return f"[{bare}]"
    if before[-1:].isdigit() and bare.isalpha() and len(bare) > 1:
        return raised  # 1st, 2nd, 1er
    if _NOTE.match(bare) and (_YEAR.search(before) or not _POWER.search(before)):
        return f"[{bare}]"
    if bare.isalpha() and len(bare) > 1:
        return raised  # ™ spelt out, Mme
    return f"^{mark}" if len(mark) == 1 or re.fullmatch(r"[-+−–]?[\w.,]+", mark) else f"^({mark})"


def subscript(lowered: str) -> str:
    """Write what is lowered: `_2`; more than a word in brackets."""
    mark = lowered.strip()
    if not mark:
        return lowered
    return f"_{mark}" if re.fullmatch(r"[-+−–]?[\w.,]+", mark) else f"_({mark})"
