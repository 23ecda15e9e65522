"""ZIP archives of documents: each is read by the reader of its format, under its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from zipfile import ZipFile

from memorag_core.errors import InputError, quote_name
from memorag_core.ingest.archive import open_archive
from memorag_core.ingest.extract import Extract, Reader, TooLarge, extract_pages

SHOWN = 10


def reader_of(readers: Mapping[str, Reader]) -> Reader:
    """Make the reader of archives of the formats with these ends of names."""

    def read(data: bytes, what: str, limit: int) -> Extract:
        """Read the documents of an archive in order of names; what is not read is told, and ends nothing."""
        told: list[str] = []
        with open_archive(data, what) as archive:
            texts = list(_texts(archive, readers, limit, told))
        if not texts:
            raise InputError(f"{what} holds no document that can be read. {' '.join(told[:SHOWN])}")
        text, _ = extract_pages(texts, what, limit)
        more = f" and {len(told) - SHOWN:,} more" if len(told) > SHOWN else ""
        return Extract(text, title=PurePosixPath(what.strip("'")).stem, notice=" ".join(told[:SHOWN]) + more)

    return read


def _texts(archive: ZipFile, readers: Mapping[str, Reader], limit: int, told: list[str]) -> Iterator[str]:
    for entry in sorted(archive.infolist(), key=lambda entry: entry.filename):
        path = PurePosixPath(entry.filename)
        if entry.is_dir() or any(part.startswith((".", "__MACOSX")) for part in path.parts):
            continue
        if (read := readers.get(path.suffix.lower())) is None:
            told.append(f"Not read: {quote_name(path)} (no format that is read).")
            continue
        try:
            extract = read(archive.read(entry), quote_name(path), limit)
        except TooLarge:
            raise
        except Exception as error:  # whatever the library of a format makes of a damaged file
            told.append(f"Not read: {str(error) or quote_name(path)}")
            continue
        told += [f"{quote_name(path)}: {extract.notice}"] if extract.notice else []
        yield f"# {path}\n\n{extract.text}"
