"""Where a text is cut into passages: under its headings, on its pages, at the ends of sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby, pairwise

from memorag_core.text.chunking import CHARACTERS_A_TOKEN, Count, Section, Span, sections, split
from memorag_core.text.wrapped import sentences_across_lines

Cut = Callable[[int, int], list[Span]]


def passages(text: str, limit: int, count: Count, pages: Sequence[int] = ()) -> Iterator[Span]:
    """Spans as `split` gives them; none crosses a heading, but where all that is below one heading is one passage.

    Nor does one cross the border of two pages, but where a sentence goes on. Lines of wrapped text are no sentences.
    """
    cut = partial(_cut, text, limit, count, pages)
    return _join_small(sections(text), cut, limit * CHARACTERS_A_TOKEN)


def _join_small(parts: Iterable[Section], cut: Cut, most: int, depth: int = 1) -> Iterator[Span]:
    """Cut sections of at least this depth; those below one heading are joined where they make a single passage."""
    for path, group in groupby(parts, key=lambda part: part.path[:depth]):
        below = list(group)
        first, *others = below
        joined = list[Span]()
        if len(path) == depth and all(len(part.path) > depth for part in others):
            start, end = first.start, below[-1].end
            joined = cut(start, end) if not others or end - start <= most else []
        if joined and (not others or len(joined) == 1):
            yield from joined
        elif len(path) < depth:
            for part in below:
                yield from cut(part.start, part.end)
        else:
            yield from _join_small(below, cut, most, depth + 1)


def _cut(text: str, limit: int, count: Count, pages: Sequence[int], start: int, end: int) -> list[Span]:
    """Cut a part of a text; a page that begins with a small letter goes on with the one before."""
    borders = [page for page in pages if start < page < end and not text[page].islower()]
    return [
        span
        for first, last in pairwise([start, *borders, end])
        for span in split(text, limit, count, sentences_across_lines(text, first, last))
    ]
