"""Texts, files, folders and web pages to documents."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from memorag_core.concurrency.cancellation import raise_if_cancelled, run_leavable
from memorag_core.concurrency.variables import set_within
from memorag_core.config import MAX_LABEL
from memorag_core.errors import InputError, quote_name
from memorag_core.ingest.extract import Extract, TooLarge, check_text, too_large
from memorag_core.ingest.folders import FolderWalk
from memorag_core.ingest.formats import Format, format_of
from memorag_core.ingest.known import NOTHING_KNOWN, Known, stamp_of
from memorag_core.ingest.paths import FoundFile, list_files
from memorag_core.ingest.plain import read as read_plain
from memorag_core.ingest.plain_file import read_plain_file
from memorag_core.ingest.sandbox import SandboxedReader
from memorag_core.ingest.signatures import suffix_told_by, tell_format
from memorag_core.text.ids import slug_or, unique
from memorag_core.types import Document, OnProgress, Origin, Original, Progress, Source, ignore_progress

if TYPE_CHECKING:
    from memorag_core.ingest.web import Web

TITLE_LENGTH = 80

_HEADING = re.compile(r"\A\s*#+\s+(.+)")
_WORDS = re.compile(r"\S.*")
_UNFIT_ID = re.compile(r"[\x00-\x1f\x7f/\\]")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read, and what of a folder was not: paths from the folder on, with why.

    `source` is what it was read from, where that can be looked at again.
    """

    documents: list[Document]
    left_out: dict[str, str] = field(default_factory=dict)
    source: Source | None = None


_hearing: ContextVar[OnProgress] = ContextVar("hearing", default=ignore_progress)


def hear_pages(on_progress: OnProgress) -> AbstractContextManager[None]:
    """Tell somebody inside of the pages that take long to read."""
    return set_within(_hearing, on_progress)


def from_text(text: str, title: str | None = None) -> Document:
    """A document from text that is already here.

    Raises:
        InputError: the text is empty or holds NUL characters.
    """
    check_text(text, "The text")
    title = title or title_of(text)
    return Document(id=slug_or(title, "document"), title=title, text=text)


def from_bytes(data: bytes, what: str, limit: int) -> Document:
    """A document from the bytes of plain text, named by its own first line.

    Raises:
        InputError: binary, of no encoding that can be told, empty, or above `limit` characters; `what` is named.
    """
    extract = read_plain(data, what, limit)
    title = title_of(extract.text)
    return Document(id=slug_or(title, "document"), title=title, text=extract.text, notice=extract.notice)


def from_path(path: Path, limit: int, include: Sequence[str] = (), private: Sequence[Path] = ()) -> list[Document]:
    """The document in a file, or those in a folder and below it, in order of their names. Raises as `read_path`."""
    return read_path(FolderWalk(path, include), limit, private).documents


def read_path(walk: FolderWalk, limit: int, private: Sequence[Path] = (), known: Known = NOTHING_KNOWN) -> Reading:
    """Read a file, or a folder and what is below it, in order of names; see `list_files`.

    What of a folder cannot be read is told, and does not end the rest. What is `known` is not read again, and is kept
    where it cannot be read now.

    Raises:
        InputError: missing, or above `limit` characters; the file, or all of the folder, is unreadable, empty, damaged,
            encrypted or binary.
    """
    files = run_leavable(lambda: list_files(walk, private))
    documents, left = known.find_below(walk.unlisted), limit
    hear = _hearing.get()
    with SandboxedReader(on_step=lambda done, total: hear(Progress("reading pages", done, total, 0.0))) as apart:
        for found in files:
            raise_if_cancelled()
            try:
                document: Document | None = _read_file(found, walk, left, known, apart)
            except TooLarge:
                raise
            except InputError as error:
                if found.path == walk.root or len(files) == len(walk.left_out) == 1:
                    raise
                document = known.find_kept(printable(str(found.path)))
                walk.leave_out(found.path, f"{error} What was read of it before is kept." if document else str(error))
            if document is not None:
                documents.append(document)
                left -= len(document.text)
    if not documents:
        raise InputError(f"No file of {quote_name(walk.root)} can be read. {next(iter(walk.left_out.values()), '')}")
    return Reading(with_own_ids(documents), walk.left_out, walk.source)


def with_own_ids(documents: Sequence[Document]) -> list[Document]:
    """Return documents with a number at the end of each id that one before has."""
    taken: dict[str, Document] = {}
    for document in documents:
        own = unique(document.id, taken)
        taken[own] = replace(document, id=own)
    return list(taken.values())


def printable(name: str) -> str:
    """Return the name of a file with what is no character replaced, as names from old disks have it."""
    return name.encode(errors="replace").decode()


def _read_file(found: FoundFile, walk: FolderWalk, limit: int, known: Known, apart: SandboxedReader) -> Document:
    file, real = found
    name = printable(str(file))
    origin = Origin(printable(str(walk.root)), stamp_of(real))
    if (untouched := known.find_untouched(name, origin)) is not None:
        return untouched
    data = _load(real, file.suffix, name, limit)
    origin = replace(origin, sha256=hashlib.sha256(data).hexdigest())
    if (same := known.find_same(name, origin)) is not None:
        return same
    extract, kind = _extract(data, file.suffix, name, limit, apart)
    document = _name_document(extract, printable(file.stem), name)
    document = document if document.date else replace(document, date=_last_change(real))
    original = Original(str(real), origin.sha256, words=extract.words) if kind.has_looks else None
    return replace(document, original=original, origin=origin)


def from_url(url: str, limit: int, allowed: bool, web: Web | None = None) -> Document:
    """The document that a public web server has at a URL.

    Raises:
        InputError: URLs are not allowed, this one leads where it may not, or what is there cannot be read.
    """
    if not allowed:
        raise InputError(
            f"Reading from the web is off, so {quote_name(url)} was not fetched. Pass its text, or a file; or start "
            "with --allow-url (or MEMORAG_ALLOW_URL=1)."
        )
    from memorag_core.ingest.web import Web

    with tempfile.TemporaryDirectory(prefix="memorag-") as folder, SandboxedReader() as apart:
        file = Path(folder) / "download"
        page = (web or Web()).fetch(url, file, limit)
        data = _load(file.resolve(), page.suffix, page.url, limit)
        extract, _ = _extract(data, page.suffix, page.url, limit, apart)
    return replace(_name_document(extract, page.name, page.url), origin=Origin(url))


def title_of(text: str) -> str:
    """A Markdown heading that opens the text, else its first line."""
    match = _HEADING.search(text) or _WORDS.search(text)
    return match.group(match.lastindex or 0).strip()[:TITLE_LENGTH] if match else "untitled"


def check_size(documents: Sequence[Document], limit: int) -> None:
    """Refuse a context without text, or with more than `limit` characters.

    Raises:
        InputError: says the size and the limit.
    """
    if not documents:
        raise InputError("There is nothing to memorize: give a text, a file or a folder.")
    for document in documents:
        check_text(document.text, f"The document {quote_name(document.title[:TITLE_LENGTH])}")
        _check_labels(document)
    if len({document.id for document in documents}) < len(documents):
        raise InputError("Two documents have the same id; give each document of a context an id of its own.")
    if (size := sum(len(document.text) for document in documents)) > limit:
        raise too_large("The context", f"{size:,} characters", limit)


def _check_labels(document: Document) -> None:
    if _UNFIT_ID.search(document.id) or document.id in {"", ".", ".."}:
        raise InputError(f"A document cannot have the id {quote_name(document.id)}: its text is a file of that name.")
    if (size := max(map(len, (document.title, document.source, document.notice)))) > MAX_LABEL:
        raise InputError(
            f"The title, source or notice of the document {quote_name(document.id)} has {size:,} characters; they may "
            f"have {MAX_LABEL:,}. Shorten it."
        )


def _load(real: Path, suffix: str, what: str, limit: int) -> bytes:
    """The bytes of the file at a real path. `suffix` is that of its format, `what` its name, as it came."""
    kind, what = format_of(suffix), quote_name(what)

    def read() -> bytes:
        kind.check_bytes(real.lstat().st_size, what, limit)
        return read_plain_file(real, kind.most_bytes(limit))

    try:
        data = run_leavable(read)
    except OSError as error:
        raise InputError(f"{what} cannot be read ({error.strerror or error}). Check its permissions.") from error
    kind.check_bytes(len(data), what, limit)
    return data


def _extract(data: bytes, suffix: str, what: str, limit: int, apart: SandboxedReader) -> tuple[Extract, Format]:
    """What a file holds, and its format; where that is another than its name says, it is told."""
    told, what = suffix_told_by(data, suffix), quote_name(what)
    kind = format_of(told)
    extract = kind.read(data, what, limit) if kind.is_plain else apart.read(data, told, what, limit)
    return extract if kind is format_of(suffix) else tell_format(extract, told), kind


def _name_document(extract: Extract, name: str, source: str) -> Document:
    """A document with the title its file gives it, else its heading, else the name of the file."""
    heading = _HEADING.search(extract.text)
    title = extract.title or (heading.group(1) if heading else name)
    return Document(
        id=slug_or(name, "document"),
        title=title.strip()[:TITLE_LENGTH],
        text=extract.text,
        source=source,
        pages=extract.pages,
        notice=extract.notice,
        date=extract.date,
    )


def _last_change(real: Path) -> str:
    """The day on which a file was last changed, as its reader's calendar has it; nothing where it has gone since."""
    try:
        return date.fromtimestamp(real.lstat().st_mtime).isoformat()
    except (OSError, OverflowError, ValueError):  # a year that no calendar has
        return ""
