"""Plain text and Markdown, whatever its encoding; a guess is told."""

from __future__ import annotations

import codecs
import re

from memorag_core.errors import InputError
from memorag_core.ingest.extract import Extract, check_text, too_large

BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
OTHERS = ["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r"]
OTHERS += ["gb18030", "big5", "cp932", "euc_jp", "cp949"]
"""The encodings worth guessing: what people's files are in. Rare ones would only win by accident."""
WESTERN = "cp1252"
SAMPLE = 1 << 18

_CONTROLS = re.compile(rb"[\x00-\x06\x0e-\x1a]")


def read(data: bytes, what: str, limit: int) -> Extract:
    """The text in some bytes: UTF-8, UTF-16 with a byte order mark, else in the encoding they look like.

    Raises:
        InputError: binary, of no encoding that can be told, empty, or above `limit` characters; `what` is named.
    """
    encoding = next((name for bom, name in BOMS if data.startswith(bom)), "utf-8")
    if encoding != "utf-16" and b"\0" in data:
        raise _binary(what)
    notice = ""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8" and _CONTROLS.search(data):
            raise _binary(what) from error
        if encoding != "utf-8" or not (guess := guess_encoding(data)):
            raise _undecodable(data, what, encoding, error) from error
        text = data.decode(guess)
        notice = f"Not UTF-8: read as {guess}, a guess. Where letters look wrong, convert the file to UTF-8."
    check_text(text, what)
    if len(text) > limit:
        raise too_large(what, f"{len(text):,} characters", limit)
    return Extract(text, notice=notice)


def guess_encoding(data: bytes) -> str | None:
    """The encoding that bytes which are not UTF-8 look like, and can be decoded by; None where there is none.

    Western European where nothing speaks against it: it is by far the most common, and short texts fit several.
    """
    from charset_normalizer import from_bytes

    sample = data if len(data) <= SAMPLE else data[: data.rfind(b"\n", 0, SAMPLE) + 1 or SAMPLE]
    matches = from_bytes(sample, cp_isolation=OTHERS)
    if (best := matches.best()) is None:
        return None
    equals = [match for match in matches if (match.chaos, match.coherence) == (best.chaos, best.coherence)]
    names = [best.encoding, *(name for match in equals for name in match.could_be_from_charset)]
    return next((name for name in sorted(names, key=lambda name: name != WESTERN) if _decodes(data, name)), None)


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _binary(what: str) -> InputError:
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
