"""Evidence: the passages that are found first and fit the budget, each text once, with all places where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from memorag_core.query.budget import fit_budget
from memorag_core.text.pages import page_of
from memorag_core.text.relative_dates import note_dates, read_relative_dates
from memorag_core.types import Chunk, Passage

if TYPE_CHECKING:
    from memorag_core.context.corpus import Corpus
    from memorag_core.retrieval.fusion import Found
    from memorag_core.text.chunking import Count


def gather(found: Sequence[Found], corpus: Corpus, tokens: int, count: Count) -> tuple[Passage, ...]:
    """Keep the best passages that fit into `tokens`, at least one; the same words under the same headings are one."""
    groups: dict[tuple[str, ...], list[Found]] = {}
    for item in found:
        chunk = corpus.chunks[item.chunk]
        groups.setdefault((chunk.text, chunk.context_lines, *chunk.headings), []).append(item)
    same = list(groups.values())
    fitting = fit_budget([corpus.chunks[first.chunk].shown for first, *_ in same], tokens, count)
    return tuple(_passage(same[number], corpus) for number in fitting)


def date_words(chunk: Chunk) -> Chunk:
    """A chunk as the generator is shown it: words such as `yesterday` with the times that they mean."""
    dated = read_relative_dates(chunk.text, chunk.context_lines)
    return replace(chunk, text=note_dates(chunk.text, dated))


def _passage(same: Sequence[Found], corpus: Corpus) -> Passage:
    """The first of some that have the same text, and where the others stand."""
    first, *others = same
    chunk = corpus.chunks[first.chunk]
    pages = corpus.pages[chunk.document_id]
    ends = page_of(pages, chunk.start), page_of(pages, chunk.end - 1)
    also = tuple(corpus.chunks[item.chunk].place for item in others)
    return Passage(chunk, first.score, first.found_by, *ends, also=also)
