"""What is asked, recalled, found and answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from memorag_core.types.texts import Chunk, Place

ClueKind = Literal["span", "question", "attended", "answer"]

Task = Literal["memorag", "qa", "summarize"]

Support = Literal["borne out", "words found", "not found"]


@dataclass(frozen=True, slots=True)
class Clue:
    """What memory recalled for a question. One that stands in the text has a place, and its `text` is what is there."""

    text: str
    kind: ClueKind
    place: Place | None = None

    @property
    def verified(self) -> bool:
        """Whether the text bears it out: it has a place."""
        return self.place is not None


@dataclass(frozen=True, slots=True)
class Recollection:
    """What is known of a question before it is searched for.

    Memory brings clues, and passages by their numbers with the attention on them, best first. `broad` says that a long
    stretch of talk answers it, rather than one place.
    """

    clues: tuple[Clue, ...] = ()
    attended: tuple[tuple[int, float], ...] = ()
    broad: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """What is asked: documents that meet all of this, and their pages from the first to the last. Dates are ISO 8601,
    whole or cut to the month or the year, and of `until` all of it counts; what is empty or 0 excludes nothing."""

    documents: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    first_page: int = 0
    last_page: int = 0


EVERYTHING = Scope()

Recalled = tuple[str, Scope, tuple[tuple[str, str], ...]]
"""A question, of what part, and who was asked: of each context its id, and its manifest's seal, which no other has."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Evidence: a chunk, how likely it alone answers (`score`), and the queries that found it, best first.

    `page` is the one it begins on, from 1, where its document has pages, `last_page` the one it ends on. `also` are the
    places where the same text stands once more.
    """

    chunk: Chunk
    score: float
    found_by: tuple[str, ...]
    page: int | None = None
    last_page: int | None = None
    also: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Citation:
    """A quote that supports an answer: `quote == document.text[start:end]`, to the letter; `page` as in `Passage`."""

    document_id: str
    title: str
    start: int
    end: int
    quote: str
    page: int | None = None

    @property
    def place(self) -> Place:
        """Where the quote stands."""
        return Place(self.document_id, self.start, self.end)


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer, and how far the evidence bears it out.

    `words found`: its words, names and figures are there, but not so that it can be told whether they say the same.
    `quotes` are the numbers of the citations that bear it out or come nearest, from 0.
    """

    text: str
    support: Support
    quotes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A generated text with what it rests on. `task` says which path made it.

    `supported` says whether the evidence bears out all of its claims; None where there was none to check against.
    `answerable` is how likely the text answers the question at all, 0 to 1, on one scale for all questions; None where
    none was asked of it. `extracted` says that the text is sentences of the documents, not a generator's.
    `without_memory`: the memory of a context that was asked was not made yet.
    """

    text: str
    task: Task
    citations: tuple[Citation, ...] = ()
    clues: tuple[Clue, ...] = ()
    evidence: tuple[Passage, ...] = ()
    supported: bool | None = None
    claims: tuple[Claim, ...] = ()
    answerable: float | None = None
    extracted: bool = False
    without_memory: bool = False
