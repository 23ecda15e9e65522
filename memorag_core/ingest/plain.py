"""Plain text and Markdown, whatever its encoding; a guess is told."""

from __future__ import annotations

import re

from memorag_core.errors import InputError
from memorag_core.ingest.archive import OLE
from memorag_core.ingest.encodings import escaped_encoding, guess_encoding, marked_encoding, wide_encoding
from memorag_core.ingest.extract import Extract, check_text, too_large
from memorag_core.ingest.headings import find_date, find_title

_CONTROLS = re.compile(rb"[\x00-\x06\x0e-\x1a]")


def read(data: bytes, what: str, limit: int) -> Extract:
    """The text in some bytes: UTF-8, UTF-16 with a byte order mark, else in the encoding they look like.

    Raises:
        InputError: binary, of no encoding that can be told, empty, or above `limit` characters; `what` is named.
    """
    text, notice = _decode(data, what)
    check_text(text, what)
    if len(text) > limit:
        raise too_large(what, f"{len(text):,} characters", limit)
    return Extract(text, title=find_title(text), notice=notice, date=find_date(text))


def _decode(data: bytes, what: str) -> tuple[str, str]:
    """Tell the characters, and what should be known of how they were told."""
    marked = marked_encoding(data)
    encoding = marked or wide_encoding(data) or escaped_encoding(data) or "utf-8"
    try:
        if encoding == "utf-8" and b"\0" in data:
            raise _binary(data, what)
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if not marked and _CONTROLS.search(data):
            raise _binary(data, what) from error
        if marked or not (guess := guess_encoding(data)):
            raise _undecodable(data, what, encoding, error) from error
        encoding, text = guess, data.decode(guess)
    if marked or encoding == "utf-8":
        return text, ""
    return text, f"Not UTF-8: read as {encoding}, a guess. Where letters look wrong, convert the file to UTF-8."


def _binary(data: bytes, what: str) -> InputError:
    if data.startswith(OLE):
        return InputError(f"{what} is of an old Office format. Save it as DOCX, XLSX or PPTX.")
    return InputError(
        f"{what} is a binary file, not text. Give text, HTML, PDF, DOCX, PPTX or EPUB, named by its suffix, or "
        "convert it to plain text first."
    )


def _undecodable(data: bytes, what: str, encoding: str, error: UnicodeDecodeError) -> InputError:
    at = error.start + len(data) - len(error.object)  # the codec does not count the byte order mark
    return InputError(
        f"{what} is not {encoding.upper()} text (byte {at} is {data[at]:#04x}), nor of an encoding that can be told. "
        "Convert it first, for example: iconv -f WINDOWS-1252 -t UTF-8 FILE -o utf8.txt"
    )
