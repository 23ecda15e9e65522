"""The part of what is memorized that a question is asked of: which documents, and which of their chunks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from memorag_core.errors import InputError
from memorag_core.text.ids import apart
from memorag_core.text.normal import normalize
from memorag_core.text.pages import page_of
from memorag_core.text.source_text import SourceText
from memorag_core.types import EVERYTHING, Chunk, Scope

if TYPE_CHECKING:
    from memorag_core.context.corpus import Corpus
    from memorag_core.retrieval.base import Allowed

NAMED = 20
"""So many documents, folders or kinds are named in one message."""
TEXT = "txt"
SAME_KIND = {"htm": "html", "xhtml": "html", "markdown": "md", "text": TEXT, "yml": "yaml"}

_DATE = re.compile(r"\d{4}(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?)?")
_SUFFIX = re.compile(r"[^/\\]\.(\w{1,8})\Z")
_SLASH = re.compile(r"[/\\]+")


class Described(Protocol):
    """A document as it is in memory, or as a manifest tells of it."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def date(self) -> str: ...
    @property
    def pages(self) -> tuple[int, ...]: ...


D = TypeVar("D", bound=Described)


@dataclass(frozen=True)
class Condition:
    """One condition of a scope: in words, whether a document meets it, and what each has."""

    asked: str
    is_met: Callable[[Described], bool]
    has: Callable[[Described], str]


def choose_documents(scope: Scope, documents: Sequence[D]) -> list[D]:
    """Return the documents that meet all of a scope.

    Raises:
        InputError: none does; it says what there is.
    """
    left = list(documents)
    for condition in _conditions(scope):
        kept = [document for document in left if condition.is_met(document)]
        if not kept:
            there = _list(sorted({condition.has(document) for document in left}))
            raise InputError(f"No document {condition.asked}, of {len(left):,} that were left to choose from: {there}.")
        left = kept
    for name in scope.documents:
        if not any(_is_called(document, name) for document in documents):
            raise InputError(f"There is no document {name!r}; there are: {_list([one.id for one in documents])}.")
    return left


def allow_chunks(scope: Scope, corpus: Corpus) -> Allowed:
    """Tell which chunks of a corpus are in a scope; None where all are.

    Raises:
        InputError: no chunk is.
    """
    if scope == EVERYTHING:
        return None
    import numpy as np

    ids = {document.id for document in choose_documents(scope, corpus.documents)}
    inside = (chunk.document_id in ids and _is_on_pages(chunk, scope, corpus) for chunk in corpus.chunks)
    allowed = np.fromiter(inside, np.bool_, len(corpus.chunks))
    if not allowed.any():
        raise InputError(f"There is no text {_name_pages(scope)} of {_list(sorted(ids))}.")
    return allowed


def select_texts(corpus: Corpus, allowed: Allowed) -> SourceText:
    """Return the chunks that are allowed, to look words up in."""
    if allowed is None:
        return corpus.texts
    chosen = [chunk for chunk, is_inside in zip(corpus.chunks, allowed.tolist(), strict=True) if is_inside]
    ids = {chunk.document_id for chunk in chosen}
    return SourceText([document for document in corpus.documents if document.id in ids], chosen)


def describe(scope: Scope, documents: Sequence[Described]) -> str:
    """Say in words what a scope leaves of these documents. Raises as `choose_documents`."""
    ids = [document.id for document in choose_documents(scope, documents)]
    pages = f", {_name_pages(scope)}" if _has_pages(scope) else ""
    return f"{len(ids):,} of {len(documents):,} documents{pages}: {_list(ids)}"


def kind_of(source: str) -> str:
    """Return the kind of file that a document was read from, by the end of its name; text where it has none."""
    match = _SUFFIX.search(source.partition("?")[0])
    return _same_kind(match[1]) if match else TEXT


def _conditions(scope: Scope) -> Iterator[Condition]:
    """Yield what a scope asks of a document."""
    if names := scope.documents:
        yield Condition(f"is called {_either(names)}", lambda one: any(_is_called(one, n) for n in names), _id)
    if folders := [_split(folder) for folder in scope.folders]:
        asked = f"is in the folder {_either(scope.folders)}"
        yield Condition(asked, lambda one: any(_is_below(one.source, f) for f in folders), _folder_of)
    if kinds := [_same_kind(kind) for kind in scope.kinds]:
        yield Condition(f"is of the kind {_either(kinds)}", lambda one: kind_of(one.source) in kinds, _kind_of)
    since, until = _check_date(scope.since), _check_date(scope.until)
    if since:
        yield Condition(f"is of {since} or later", lambda one: one.date[: len(since)] >= since, _date_of)
    if until:
        yield Condition(f"is of {until} or earlier", lambda one: "" < one.date[: len(until)] <= until, _date_of)
    if _has_pages(scope):
        first = scope.first_page or 1
        yield Condition(f"has text {_name_pages(scope)}", lambda one: len(one.pages) >= first, _pages_of)


def _id(document: Described) -> str:
    return document.id


def _folder_of(document: Described) -> str:
    return "/".join(_SLASH.split(document.source)[:-1]) or "none"


def _kind_of(document: Described) -> str:
    return kind_of(document.source)


def _date_of(document: Described) -> str:
    return document.date or "no date"


def _pages_of(document: Described) -> str:
    return f"{document.id}, {len(document.pages)} pages" if document.pages else f"{document.id}, no pages"


def _is_called(document: Described, name: str) -> bool:
    """Whether a name is a document's id, with its context or without, its title, or the name of its file."""
    _, own = apart(document.id)
    file = _SLASH.split(document.source)[-1]
    names = (document.id, own, document.title, file, document.source)
    return any(_compose(name).casefold() == _compose(other).casefold() for other in names)


def _is_below(source: str, folder: list[str]) -> bool:
    """Whether a folder's parts are among those of the folders that a source is in, one after the other."""
    above = _split(source)[:-1]
    if folder[:1] == [""]:
        return above[: len(folder)] == folder
    return any(above[at : at + len(folder)] == folder for at in range(len(above) - len(folder) + 1))


def _split(path: str) -> list[str]:
    """Return the parts of a path; the first is empty where it begins at the root."""
    parts = [part for part in _SLASH.split(_compose(path)) if part not in {"", "."}]
    return ["", *parts] if path.startswith("/") else parts


def _is_on_pages(chunk: Chunk, scope: Scope, corpus: Corpus) -> bool:
    if not _has_pages(scope):
        return True
    pages = corpus.pages[chunk.document_id]
    first, last = page_of(pages, chunk.start) or 0, page_of(pages, chunk.end - 1) or 0
    return last >= (scope.first_page or 1) and first <= (scope.last_page or first)


def _has_pages(scope: Scope) -> bool:
    return bool(scope.first_page or scope.last_page)


def _name_pages(scope: Scope) -> str:
    first, last = scope.first_page or 1, scope.last_page
    if 0 < last < first:
        raise InputError(f"The pages go from {first} to {last}: no page is between. Name the first one first.")
    return f"on page {first}" if last == first else f"on pages {first} to {last or 'the last'}"


def _check_date(date: str) -> str:
    if date and not _DATE.fullmatch(date):
        raise InputError(f"{date!r} is no date here; write it as 2024-05-31, 2024-05 or 2024.")
    return date


def _same_kind(kind: str) -> str:
    bare = kind.strip().lower().lstrip("*.")
    return SAME_KIND.get(bare, bare)


def _compose(text: str) -> str:
    return normalize("NFC", text.strip())


def _either(names: Sequence[str]) -> str:
    return " or ".join(map(repr, names[:NAMED]))


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
