"""Pages of a text: where each begins, and on which one an offset stands."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from memorag_core.types import PARAGRAPH_BREAK


def join_pages(texts: Iterable[str]) -> tuple[str, tuple[int, ...]]:
    """Pages as one text, a blank line between them, and the offset at which each begins.

    A page without text begins where the next one does, so no offset is on it.
    """
    parts: list[str] = []
    starts: list[int] = []
    at = 0
    for text in texts:
        starts.append(at)
        if text:
            parts.append(text)
            at += len(text) + len(PARAGRAPH_BREAK)
    return PARAGRAPH_BREAK.join(parts), tuple(starts)


def page_of(pages: Sequence[int], offset: int) -> int | None:
    """The page, from 1, that an offset is on; None where the text has no pages."""
    return max(1, bisect_right(pages, offset)) if pages else None
