"""Text, files and folders to documents, checked before anything is encoded."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from pathlib import Path

from memorag_core.errors import InputError
from memorag_core.names import slug_or, unique
from memorag_core.types import Document

SUFFIXES = {".txt", ".md", ".markdown", ".rst", ".text"}
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
BYTES_A_CHARACTER = 4
TITLE_LENGTH = 80

_HEADING = re.compile(r"\A\s*#+\s+(.+)")
_SURROGATE = re.compile("[\ud800-\udfff]")
_WORDS = re.compile(r"\S.*")


def from_text(text: str, title: str | None = None) -> Document:
    """A document from text that is already here.

    Raises:
        InputError: the text is empty or holds NUL characters.
    """
    _check_text(text, "The text")
    title = title or title_of(text)
    return Document(id=slug_or(title, "document"), title=title, text=text)


def from_path(path: Path, limit: int) -> list[Document]:
    """The document in a file, or the documents of all text files in a folder and below it, in order of their names.

    Raises:
        InputError: missing, unreadable, empty, binary, not UTF-8 or UTF-16, or above `limit` characters.
    """
    if "\0" in str(path):
        raise InputError("The path holds a NUL character; give the plain path of a file or folder.")
    if not _exists(path):
        raise InputError(f"There is no file or folder at {path}. Check the path; relative ones start at {Path.cwd()}.")
    files = _text_files(path) if path.is_dir() else [path]
    documents: list[Document] = []
    for file in files:
        document = _from_file(file, limit - sum(len(other.text) for other in documents))
        taken = {other.id for other in documents}
        documents.append(Document(unique(document.id, taken), document.title, document.text, document.source))
    return documents


def inside(path: Path, allowed: Sequence[Path]) -> Path:
    """The real path, symbolic links resolved, where it lies in an allowed folder.

    Raises:
        InputError: it does not; the message names the folders that are allowed.
    """
    try:
        real = path.expanduser().resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"The path {str(path)!r} cannot be resolved ({error}); give a plain path.") from error
    if not any(real.is_relative_to(root.expanduser().resolve()) for root in allowed):
        names = ", ".join(str(root) for root in allowed) or "none"
        raise InputError(
            f"{path} is outside the folders this server may read ({names}). Move the file there, pass its text, or "
            "start the server with --allow FOLDER."
        )
    return real


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
        _check_text(document.text, f"The document '{document.title}'")
    if len({document.id for document in documents}) < len(documents):
        raise InputError("Two documents have the same id; give each document of a context an id of its own.")
    if (size := sum(len(document.text) for document in documents)) > limit:
        raise _too_large("The context", f"{size:,} characters", limit)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # too long to be a path, or in a folder that may not be read
        raise InputError(f"There is no path {str(path)[:80]!r} to read ({error.strerror}). Check it.") from error


def _text_files(folder: Path) -> list[Path]:
    root = folder.resolve()
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and path.resolve().is_relative_to(root)
    )
    if not files:
        kinds = ", ".join(sorted(SUFFIXES))
        raise InputError(f"The folder {folder} holds no text file ({kinds}). Give a file, or another folder.")
    return files


def _from_file(path: Path, limit: int) -> Document:
    try:
        if (size := path.stat().st_size) > limit * BYTES_A_CHARACTER:
            raise _too_large(str(path), f"{size:,} bytes", limit)
        text = decoded(path.read_bytes(), str(path), limit)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}). Check its permissions.") from error
    heading = _HEADING.search(text)
    title = heading.group(1).strip()[:TITLE_LENGTH] if heading else path.stem
    return Document(id=slug_or(path.stem, "document"), title=title, text=text, source=str(path))


def decoded(data: bytes, what: str, limit: int) -> str:
    """The text in some bytes: UTF-8, or UTF-16 with a byte order mark.

    Raises:
        InputError: binary, of another encoding, empty, or above `limit` characters; `what` is named.
    """
    encoding = next((name for bom, name in BOMS if data.startswith(bom)), "utf-8")
    if encoding != "utf-16" and b"\0" in data:
        raise InputError(f"{what} is a binary file, not text. Convert it to plain text or Markdown first.")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        at = error.start + len(data) - len(error.object)  # the codec does not count the byte order mark
        raise InputError(
            f"{what} is not {encoding.upper()} text (byte {at} is {data[at]:#04x}). "
            "Convert it first, for example: iconv -f WINDOWS-1252 -t UTF-8 FILE -o utf8.txt"
        ) from error
    _check_text(text, what)
    if len(text) > limit:
        raise _too_large(what, f"{len(text):,} characters", limit)
    return text


def _check_text(text: str, what: str) -> None:
    if not text.strip():
        raise InputError(f"{what} is empty; there is nothing to memorize.")
    if "\0" in text:
        raise InputError(f"{what} holds NUL characters, so it is binary; give plain text.")
    if (lone := _SURROGATE.search(text)) is not None:
        raise InputError(f"{what} holds half a character at {lone.start()} (a lone surrogate); give plain text.")


def _too_large(what: str, size: str, limit: int) -> InputError:
    return InputError(
        f"{what} has {size}; the limit is {limit:,} characters. Split it into several contexts, or raise the limit "
        "with --max-characters."
    )
