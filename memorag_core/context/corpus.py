"""A corpus is what a question searches: the texts of one context, or of several as if they were one."""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from memorag_core.context.section_titles import SectionTitles
from memorag_core.text.ids import qualify
from memorag_core.text.source_text import SourceText
from memorag_core.text.terms import stems
from memorag_core.types import Chunk, Document, Place

if TYPE_CHECKING:
    from memorag_core.components import Components
    from memorag_core.context.manifest import Manifest
    from memorag_core.context.neighbours import NeighbourSmoother
    from memorag_core.memory import MemoryState
    from memorag_core.retrieval import Index
    from memorag_core.retrieval.attention import AttentionIndex
    from memorag_core.retrieval.base import Finder


@dataclass(frozen=True)
class Corpus:
    """Documents, their chunks, and the indexes of these.

    `index` is the retriever's, which finds chunks for a query. `attention` holds the keys that the memory model's
    retrieval heads attend to; None without such heads. `parts` are the corpora of which it is made, if it is.
    """

    documents: tuple[Document, ...]
    chunks: tuple[Chunk, ...]
    index: Finder
    attention: AttentionIndex | None
    parts: tuple[Corpus, ...] = field(default=(), kw_only=True)

    @cached_property
    def texts(self) -> SourceText:
        """The documents and chunks, to look words up in."""
        return SourceText(self.documents, self.chunks)

    @cached_property
    def pages(self) -> dict[str, tuple[int, ...]]:
        """Where the pages of each document begin."""
        return {document.id: document.pages for document in self.documents}

    @cached_property
    def titles(self) -> SectionTitles:
        """The titled sections."""
        return SectionTitles(self.chunks)

    @cached_property
    def spread(self) -> Counter[str]:
        """In how many chunks each stem stands."""
        if self.parts:
            return sum((part.spread for part in self.parts), Counter[str]())
        return Counter(word for chunk in self.chunks for word in frozenset(stems(chunk.indexed)))

    @cached_property
    def surroundings(self) -> NeighbourSmoother:
        """The smoother of scores, which knows which chunks stand near each other."""
        from memorag_core.context.neighbours import NeighbourSmoother  # it needs numpy

        return NeighbourSmoother(self.chunks, {document.id: document.text for document in self.documents})

    def chunk_at(self, place: Place) -> int | None:
        """Return the number of the chunk in which a place begins; None where none of the chunks has it."""
        starts = self._starts.get(place.document_id, [])
        at = bisect(starts, (place.start, len(self.chunks))) - 1
        return starts[at][1] if at >= 0 and place.start < self.chunks[starts[at][1]].end else None

    @cached_property
    def _starts(self) -> dict[str, list[tuple[int, int]]]:
        """Where the chunks of each document begin, and their numbers, in order."""
        starts: dict[str, list[tuple[int, int]]] = {document.id: [] for document in self.documents}
        for number, chunk in enumerate(self.chunks):
            starts[chunk.document_id].append((chunk.start, number))
        return starts


@dataclass(frozen=True)
class Context(Corpus):
    """Everything a question is asked of. Read only: any number of questions may use one at once.

    `memory`, and `attention` with it, is None until it is made.
    """

    index: Index
    id: str
    manifest: Manifest
    memory: MemoryState | None


def memories_of(contexts: Sequence[Context]) -> list[MemoryState]:
    """The memories of those contexts that have one."""
    return [context.memory for context in contexts if context.memory is not None]


def merge(contexts: Sequence[Context], components: Components) -> Corpus:
    """Merge several contexts into one corpus, in which a document's id is `CONTEXT/DOCUMENT`; one stays as it is.

    Chunks of all contexts are ranked together, so passages of a context about something else stay behind. All contexts
    must have been indexed by `components`.
    """
    if len(contexts) == 1:
        return contexts[0]
    sizes = [len(context.chunks) for context in contexts]
    return Corpus(
        tuple(replace(document, id=qualify(c.id, document.id)) for c in contexts for document in c.documents),
        tuple(replace(chunk, document_id=qualify(c.id, chunk.document_id)) for c in contexts for chunk in c.chunks),
        components.retriever.merge([context.index for context in contexts], sizes),
        _merge_attention(contexts, components),
        parts=tuple(contexts),
    )


def _merge_attention(contexts: Sequence[Context], components: Components) -> AttentionIndex | None:
    """Merge the keys of all contexts; the chunks of one whose memory is not made yet have none."""
    if not components.attention or not any(context.attention for context in contexts):
        return None
    blank = components.attention.blank
    return components.attention.merge([context.attention or blank(len(context.chunks)) for context in contexts])
