"""What crosses from one step to the next: frozen dataclasses with named fields, no behaviour to speak of.

Offsets are Python string indices into `Document.text`, half open: `text[start:end]`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

ClueKind = Literal["span", "question", "attended", "answer"]
Task = Literal["memorag", "qa", "summarize"]
Ready = Literal["evidence", "memory"]
"""What of a context is there: texts and their index; or the memory too."""
Change = Literal["added", "replaced", "removed", "renamed", "unchanged"]
"""What becomes of a document when its context is brought in step with its files."""
Support = Literal["borne out", "words found", "not found"]
BETWEEN_HEADINGS = " > "
PARAGRAPH_BREAK = "\n\n"
"""What stands between texts that are read as one. The keys and values of stored memories depend on it."""


@dataclass(frozen=True, slots=True)
class Original:
    """The file that a document was read from, where its pages can be shown: its path, and the SHA-256 of what was read.

    `kept` says that it lies in a store, where nobody changes it; `words` where words stand on pages that are pictures.
    """

    path: str
    sha256: str
    kept: bool = False
    words: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A file, a folder or a URL that documents are read from; of a folder, patterns of the files that are meant."""

    path: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """What a document was read from: `root` is the path of its source.

    Of the file, as it was then, `stamp` tells the size and the times, `sha256` the bytes.
    """

    root: str
    stamp: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One text to remember. `id` is unique in its context; `source` is where it came from, for people.

    `pages` are the offsets at which its pages (slides, chapters) begin, where it has any; `notice` is what who reads
    it should know, such as an encoding that was guessed; `original` is what its pages look like, and `origin` what it
    was read from, no part of it; `date` is the day it is of, in ISO 8601: as it says itself, else when its file last
    changed.
    """

    id: str
    title: str
    text: str
    source: str = ""
    pages: tuple[int, ...] = ()
    notice: str = ""
    original: Original | None = field(default=None, compare=False)
    date: str = field(default="", compare=False)
    origin: Origin | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: `text == document.text[start:end]`, to the letter; `title` is of the section it is in.

    `above` are the headings over that one, outermost first; `header` is the header row of the table it continues.
    `under_path` is false in contexts of an earlier time, whose chunks were indexed under their own title alone.
    """

    document_id: str
    start: int
    end: int
    text: str
    title: str = ""
    above: tuple[str, ...] = ()
    document_title: str = ""
    header: str = ""
    under_path: bool = True

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.document_id, self.start, self.end)

    @property
    def indexed(self) -> str:
        """What is searched, judged and shown to the generator: the text under its heading lines."""
        return "\n".join(filter(None, (self.heading_lines, self.text)))

    @property
    def heading_lines(self) -> str:
        """Those of its headings that do not stand in its text, and its table's header."""
        path = dict.fromkeys((self.document_title, *self.headings) if self.under_path else (self.title,))
        line = BETWEEN_HEADINGS.join(part for part in path if part and part not in self.text)
        return "\n".join(filter(None, (line, self.header if self.under_path else "")))

    @property
    def headings(self) -> tuple[str, ...]:
        """The headings that it stands under, outermost first."""
        return (*self.above, self.title) if self.title else self.above

    @property
    def section(self) -> tuple[str, ...]:
        """Which section it stands in: the document and the headings."""
        return (self.document_id, *self.headings)

    def beside(self, other: Chunk) -> bool:
        """Whether both stand in one section."""
        return self.section == other.section


@dataclass(frozen=True, slots=True)
class Place:
    """Where words stand: `document.text[start:end]`."""

    document_id: str
    start: int
    end: int

    def overlaps(self, other: Place) -> bool:
        """Whether a character stands in both."""
        return self.document_id == other.document_id and max(self.start, other.start) < min(self.end, other.end)


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
    """Evidence: a chunk with its fused score and the queries (the question, clues) that found it, best first.

    `page` is the one it begins on, from 1, where its document has pages, `last_page` the one it ends on.
    """

    chunk: Chunk
    score: float
    found_by: tuple[str, ...]
    page: int | None = None
    last_page: int | None = None


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


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A document of a stored context, without its text. `characters` counts Python characters; `pages` its pages."""

    id: str
    title: str
    source: str
    characters: int
    pages: int = 0
    notice: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class ContextInfo:
    """A stored context as a list shows it. `created` is ISO 8601 in UTC; `bytes` is its size on disk.

    `models` maps a role (memory, embedder) to a model id. `encode_seconds` is what memorizing took, with every change
    of its documents since. `ready` says whether its memory is made. `cached` is true where memorizing, or adding,
    found it all already there. `sources` are what it is read from; where they were just looked at, `changes` are the
    ids of documents by what became of them, and `left_out` what of them was not read, with why.
    """

    id: str
    title: str
    documents: tuple[DocumentInfo, ...]
    created: str
    models: dict[str, str]
    chunks: int
    memory_tokens: int
    bytes: int
    encode_seconds: float
    ready: Ready = "memory"
    cached: bool = False
    sources: tuple[Source, ...] = ()
    changes: Mapping[Change, tuple[str, ...]] | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long piece of work is: `done` of `total` in the unit of the stage; `fraction` of the whole job."""

    stage: str
    done: int
    total: int
    fraction: float


OnProgress = Callable[[Progress], None]
"""Called between steps, from the working thread. Raise `Cancelled` from it to stop the work."""

OnReady = Callable[[ContextInfo], None]
"""Called once a context can be searched, before its memory is made, from the working thread."""

OnStep = Callable[[int, int], None]
"""Called by one stage with (done, total), in units of its own. May raise to stop."""

Say = Callable[[str], None]
"""Hears one line about what goes on, such as a download."""

Generate = Callable[[str, int], str]
"""A generator's reply to a prompt, of at most so many tokens."""
OnText = Callable[[str], None]
"""Called with the pieces of a text as it is written, from the working thread. May raise to stop."""


def ignore_progress(_: Progress) -> None:
    """The `OnProgress` of a caller that does not want to know."""


def ignore_ready(_: ContextInfo) -> None:
    """The `OnReady` of a caller that waits for the memory."""


def ignore_text(_: str) -> None:
    """The `OnText` of a caller that waits for the whole text."""


def ignore_steps(_done: int, _total: int) -> None:
    """The `OnStep` of a caller that does not want to know."""
