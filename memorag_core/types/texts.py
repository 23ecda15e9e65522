"""Texts and places in them.

Offsets are Python string indices into `Document.text`, half open: `text[start:end]`.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field

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

    `above` are the headings over that one, outermost first; `below`, where it holds several sections under these, says
    where each begins and what its headings are. As they stand before it: `header` is the header row of the table it
    continues, `date` the line that dates the talk it is of, and `speaker` whose words it begins with. `turns` are
    those that begin in it: where in the document, and whose words they are.
    `under_path` is false in contexts of an earlier time, whose chunks were indexed under their own title alone.
    `under_speaker` says that it is indexed under the speaker too.
    """

    document_id: str
    start: int
    end: int
    text: str
    title: str = ""
    above: tuple[str, ...] = ()
    below: tuple[tuple[int, tuple[str, ...]], ...] = ()
    document_title: str = ""
    header: str = ""
    date: str = ""
    speaker: str = ""
    turns: tuple[tuple[int, str], ...] = ()
    under_path: bool = True
    under_speaker: bool = False

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.document_id, self.start, self.end)

    @property
    def indexed(self) -> str:
        """What is searched: the text under its heading lines, and under its speaker where that tells much."""
        return _join_lines(self.heading_lines, self.speaker_line if self.under_speaker else "", self.text)

    @property
    def shown(self) -> str:
        """What is shown to the generator: the text under all that is known of where it stands."""
        return _join_lines(self.context_lines, self.text)

    @property
    def context_lines(self) -> str:
        """What it is judged under: its heading lines, and whose words it begins with."""
        return _join_lines(self.heading_lines, self.speaker_line)

    @property
    def heading_lines(self) -> str:
        """Those of its headings that do not stand in its text, and its table's header."""
        path = dict.fromkeys((self.document_title, *self.headings, self.date) if self.under_path else (self.title,))
        line = BETWEEN_HEADINGS.join(part for part in path if part and part not in self.text)
        return _join_lines(line, self.header if self.under_path else "")

    @property
    def speaker_line(self) -> str:
        """Who speaks where it begins, as a turn begins."""
        return f"{self.speaker}:" if self.speaker else ""

    @property
    def headings(self) -> tuple[str, ...]:
        """The headings that it stands under, outermost first."""
        return (*self.above, self.title) if self.title else self.above

    @property
    def section(self) -> tuple[str, ...]:
        """Which section it stands in: the document and the headings."""
        return (self.document_id, *self.headings)

    @property
    def sections(self) -> tuple[tuple[str, ...], ...]:
        """The section it stands in, and those that it holds."""
        return (self.section, *((self.document_id, *path) for _, path in self.below))

    def lines_over(self, place: int) -> str:
        """What is judged under which lines at `place` in it; of several sections in one passage, its own section's."""
        if not self.below:
            return self.context_lines
        path = self.below[bisect(self.below, place, key=lambda part: part[0]) - 1][1]
        return BETWEEN_HEADINGS.join(dict.fromkeys(filter(None, (self.document_title, *path))))

    def speaker_at(self, place: int) -> str:
        """Whose words stand at `place` in it; nobody's where a turn begins there, which says so, or it is no talk."""
        at = bisect(self.turns, place, key=lambda turn: turn[0]) - 1
        if at < 0:
            return self.speaker
        start, name = self.turns[at]
        goes_on = start < place and all(not start < section <= place for section, _ in self.below)
        return name if goes_on else ""

    def beside(self, other: Chunk) -> bool:
        """Whether both stand in one section."""
        return self.section == other.section


def _join_lines(*lines: str) -> str:
    return "\n".join(filter(None, lines))


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
class Attended:
    """What a question attends to in a document: what stands from character `starts[i]` to the next has `weights[i]`.

    Weights compare places with each other; 0 is what the question attends to no more than any other would.
    """

    starts: Sequence[int] = ()
    weights: Sequence[float] = ()
