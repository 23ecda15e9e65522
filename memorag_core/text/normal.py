"""Normal forms of Unicode in linear time: sorting a run of marks takes the square of its length."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Literal

PIECE = 512
"""Characters that are normalized at once; marks of one letter have a few dozen at most."""


def normalize(form: Literal["NFC", "NFD", "NFKC", "NFKD"], text: str) -> str:
    """Return the normal form of a text. A run of marks that is longer than a piece is sorted in parts."""
    if text.isascii():
        return text
    return "".join(unicodedata.normalize(form, piece) for piece in _pieces(text))


def _pieces(text: str) -> Iterator[str]:
    """Cut a text before white space, which joins nothing, and where there is none, before what is no mark."""
    start = 0
    while len(text) - start > PIECE:
        end = start + PIECE
        near = range(end, end - PIECE // 2, -1)
        cut = next((at for at in near if text[at].isspace()), None)
        if cut is None:
            cut = next((at for at in near if not unicodedata.combining(text[at]) and text[at].isalnum()), end)
        yield text[start:cut]
        start = cut
    yield text[start:]
