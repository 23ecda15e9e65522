"""Long texts in parts, because a search holds the interpreter from one match to the next."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

SLICE = 1 << 18


def find_all(pattern: re.Pattern[str], text: str, start: int, end: int) -> Iterator[re.Match[str]]:
    """Yield all matches within `text[start:end]`, searching slice by slice; for what stands in one line, or is cut."""
    while start < end:
        border = _border(text, start, end)
        yield from pattern.finditer(text, start, border)
        start = border


def batches(texts: Sequence[str], characters: int) -> Iterator[list[str]]:
    """Group texts in their order, until a group has so many characters."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _border(text: str, start: int, end: int) -> int:
    """Where a slice ends: behind a line, or where none ends, behind a word."""
    most = start + SLICE
    if end <= most:
        return end
    found = text.rfind("\n", start, most) + 1 or text.rfind(" ", start, most) + 1
    return found or most
