"""Change the documents of a context: follow what is at the places they were read from, or remove one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from memorag_core.errors import InputError, quote_name
from memorag_core.ingest import NEWER, Reading, with_own_ids
from memorag_core.text.ids import unique
from memorag_core.types import Change, Document, Source

CHANGES: tuple[Change, ...] = ("added", "replaced", "removed", "renamed", "unchanged")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a context holds and what it is read from; of an edit, what became of it and what was not read."""

    documents: tuple[Document, ...]
    sources: tuple[Source, ...] = ()
    changes: Mapping[Change, tuple[str, ...]] | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    def staying(self, other: Contents) -> set[str]:
        """Ids of the documents that another has too, of the same text and looks."""
        looks = {one.id: (one.text, one.original) for one in other.documents}
        return {one.id for one in self.documents if looks.get(one.id) == (one.text, one.original)}

    def reads_as(self, other: Contents) -> bool:
        """Whether both hold the same texts under the same ids and titles, wherever these were read."""
        return len(self.documents) == len(other.documents) and all(map(_is_same, self.documents, other.documents))


def gather(readings: Sequence[Reading]) -> Contents:
    """Return what a context holds that is made of these readings."""
    documents = _once_each(document for reading in readings for document in reading.documents)
    left_out = {name: why for reading in readings for name, why in reading.left_out.items()}
    return Contents(tuple(with_own_ids(documents)), _sources(readings), left_out=left_out)


def follow(held: Contents, readings: Sequence[Reading]) -> Contents:
    """Return what a context holds once these readings are in it; what it has from elsewhere stays.

    What was read from the same place before is replaced where it stands, under its id, so that old and new are never
    side by side. What is at its place no more goes; if it is at another now, it keeps its id. A text that is there
    already is not added again, so that adding may be tried again; an id that is taken by another text gets a number.
    """
    read = gather(readings)
    edit = _Edit({document.id: document for document in held.documents}, _find_gone(held, read))
    edit.update(read.documents)
    edit.append(read.documents)
    sources = dict.fromkeys((*held.sources, *read.sources))
    return Contents(edit.documents_left(), tuple(sources), edit.changes(), {**read.left_out, **edit.copies})


def remove_document(held: Contents, document_id: str, context_id: str) -> Contents:
    """Return what a context holds without one of its documents.

    Raises:
        InputError: there is none of that id, or no other.
    """
    kept = tuple(document for document in held.documents if document.id != document_id)
    if len(kept) == len(held.documents):
        names = ", ".join(quote_name(document.id) for document in held.documents)
        raise InputError(
            f"The context {quote_name(context_id)} has no document {quote_name(document_id)}; it has: {names}."
        )
    if not kept:
        raise InputError(
            f"{quote_name(document_id)} is the only document of the context {quote_name(context_id)}, and a context "
            f"without any is none. Forget {quote_name(context_id)} instead (memorag forget {quote_name(context_id)})."
        )
    return Contents(kept, held.sources)


def _once_each(documents: Iterable[Document]) -> list[Document]:
    """Return documents, of those of one place the first."""
    found: dict[str | int, Document] = {}
    for number, document in enumerate(documents):
        found.setdefault(document.source or number, document)
    return list(found.values())


def _sources(readings: Sequence[Reading]) -> tuple[Source, ...]:
    return tuple(dict.fromkeys(reading.source for reading in readings if reading.source))


def _find_gone(held: Contents, read: Contents) -> set[str]:
    """Return the ids of what was read from the same sources before, and was not now."""
    roots = {source.path for source in read.sources}
    places = {document.source for document in read.documents}
    return {one.id for one in held.documents if one.origin and one.origin.root in roots and one.source not in places}


def _is_same(one: Document, other: Document) -> bool:
    return (one.id, one.title, one.pages, one.text) == (other.id, other.title, other.pages, other.text)


def _mark(notice: str) -> str:
    return notice if NEWER in notice else f"{notice} {NEWER}".strip()


@dataclass
class _Edit:
    """Documents by id while they change; what is `gone` stays where it is until all that was read is in."""

    documents: dict[str, Document]
    gone: set[str]
    copies: dict[str, str] = field(default_factory=dict)
    became: dict[str, Change] = field(default_factory=dict)

    def update(self, read: Sequence[Document]) -> None:
        """Enter what was read from places from which something had been read before."""
        ids = self._ids_by_place()
        for document in read:
            if (known := ids.get(document.source)) is None:
                continue
            before, now = self.documents[known], replace(document, id=known)
            if _is_same(before, now):
                self.became[known] = "unchanged"
                notice = _mark(now.notice) if NEWER in before.notice else now.notice
                self.documents[known] = replace(before, notice=notice, origin=now.origin or before.origin)
            else:
                self.became[known] = "replaced"
                self.documents[known] = replace(now, notice=_mark(now.notice))

    def append(self, read: Sequence[Document]) -> None:
        """Enter what was read from other places, under the id of what is gone and had its text, or one of its own."""
        known = self._ids_by_place()
        ids = {one.text: one.id for one in self.documents.values() if one.id not in self.gone}
        gone = {self.documents[name].text: name for name in self.gone}
        for document in read:
            if document.source in known:
                continue
            if (twin := ids.get(document.text)) is not None:
                self._leave_out(document, twin)
                continue
            if (own := gone.get(document.text)) is not None:
                self.gone.remove(own)
                self.became[own] = "renamed"
            else:
                own = unique(document.id, self.documents)
                self.became[own] = "added"
            self.documents[own] = replace(document, id=own)
            ids[document.text] = own

    def documents_left(self) -> tuple[Document, ...]:
        """Return the documents without those that are gone."""
        return tuple(document for name, document in self.documents.items() if name not in self.gone)

    def changes(self) -> dict[Change, tuple[str, ...]]:
        """Return ids by what became of their documents."""
        removed: Change = "removed"
        became = self.became | dict.fromkeys(self.gone, removed)
        return {change: tuple(name for name in self.documents if became.get(name) == change) for change in CHANGES}

    def _ids_by_place(self) -> dict[str, str]:
        return {document.source: document.id for document in self.documents.values() if document.source}

    def _leave_out(self, document: Document, twin: str) -> None:
        """Tell of a file, by its name from its source on, that it was not entered."""
        if document.origin is None:
            self.became.setdefault(twin, "unchanged")
            return
        path, root = Path(document.source), Path(document.origin.root)
        name = path.relative_to(root).as_posix() if path != root and path.is_relative_to(root) else document.source
        self.copies[name] = f"its text is that of the document '{twin}'"
