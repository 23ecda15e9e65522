"""ZIP archives of documents: each is read by the reader of its format, under its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from zipfile import ZipFile, ZipInfo

from memorag_core.errors import InputError, quote_name
from memorag_core.ingest.archive import open_archive
from memorag_core.ingest.encodings import guess_encoding
from memorag_core.ingest.extract import Extract, Reader, TooLarge, extract_pages
from memorag_core.ingest.signatures import suffix_told_by, tell_format

SHOWN = 10
SAYS_UTF_8 = 0x800
DECLARED = "cp437"
"""The encoding of names that say none, by the format; `zipfile` reads them so."""
WESTERN = (DECLARED, "cp850")
"""What systems of Western Europe write, which have most letters in one place: `ã` and `ø` only the second has."""
SYSTEMS = {"cp866", "gb18030", "big5", "big5hkscs", "cp932", "cp949"}
"""What systems whose letters it lacks write instead."""


def reader_of(readers: Mapping[str, Reader]) -> Reader:
    """Make the reader of archives of the formats with these ends of names."""

    def read(data: bytes, what: str, limit: int) -> Extract:
        """Read the documents of an archive in order of names; what is not read is told, and ends nothing."""
        told: list[str] = []
        with open_archive(data, what) as archive:
            encoding = _encoding_of_names(archive, told)
            members = ((_name_of(entry, encoding), partial(archive.read, entry)) for entry in _entries(archive))
            texts = list(read_members(members, readers, limit, told))
        if not texts:
            raise InputError(f"{what} holds no document that can be read. {tell(told)}")
        text, _ = extract_pages(texts, what, limit)
        return Extract(text, title=PurePosixPath(what.strip("'")).stem, notice=tell(told))

    return read


def read_members(
    members: Iterable[tuple[str, Callable[[], bytes]]], readers: Mapping[str, Reader], limit: int, told: list[str]
) -> Iterator[str]:
    """Read documents by their names and what loads their bytes; `told` gets what was not read, and notices."""
    for name, load in members:
        path = PurePosixPath(name)
        try:
            extract = _read_member(path, load(), readers, limit)
        except TooLarge:
            raise
        except Exception as error:  # whatever the library of a format makes of a damaged file
            told.append(f"Not read: {str(error) or quote_name(path)}")
            continue
        if extract is None:
            told.append(f"Not read: {quote_name(path)} (no format that is read).")
            continue
        told += [f"{quote_name(path)}: {extract.notice}"] if extract.notice else []
        yield f"# {path}\n\n{extract.text}"


def _read_member(path: PurePosixPath, data: bytes, readers: Mapping[str, Reader], limit: int) -> Extract | None:
    """Read a document by what it is; None where nothing reads that."""
    named, suffix = readers.get(path.suffix.lower()), suffix_told_by(data, path.suffix)
    if (read := readers.get(suffix)) is None:
        return None
    extract = read(data, quote_name(path), limit)
    return extract if read is named else tell_format(extract, suffix)


def tell(told: Sequence[str]) -> str:
    """Say the first of what is to be told, and how much more there is."""
    more = f" and {len(told) - SHOWN:,} more" if len(told) > SHOWN else ""
    return " ".join(told[:SHOWN]) + more


def _entries(archive: ZipFile) -> Iterator[ZipInfo]:
    """Yield the entries that people put there, in order of names."""
    for entry in sorted(archive.infolist(), key=lambda entry: entry.filename):
        parts = [part for part in PurePosixPath(entry.filename).parts if part not in {".", ".."}]  # none is unpacked
        hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
        if not entry.is_dir() and not hidden:
            yield entry


def _encoding_of_names(archive: ZipFile, told: list[str]) -> str:
    """The encoding of names that do not say theirs: many programs write UTF-8, others what their system reads."""
    names = [entry.orig_filename.encode(DECLARED) for entry in archive.infolist() if not entry.flag_bits & SAYS_UTF_8]
    joined = b"\n".join(name for name in names if not name.isascii())
    try:
        joined.decode("utf-8")
    except UnicodeDecodeError:
        guess = guess_encoding(joined)
        if guess not in SYSTEMS:
            return next((western for western in WESTERN if _is_letters(joined.decode(western))), DECLARED)
        told.append(f"Names of its files were read as {guess}, a guess.")
        return guess
    return "utf-8"


def _is_letters(names: str) -> bool:
    """Whether all of some names that is no ASCII is letters."""
    return all(char.isascii() or char.isalpha() for char in names)


def _name_of(entry: ZipInfo, encoding: str) -> str:
    """The name of an entry; later versions of Python take it from where the archive says it a second time."""
    if entry.flag_bits & SAYS_UTF_8 or entry.filename != entry.orig_filename:
        return entry.filename
    return entry.filename.encode(DECLARED).decode(encoding)
