"""Which encoding some bytes are in: by mark, by zeros, by escapes, by the names browsers use, else by looking."""

from __future__ import annotations

import codecs
import re

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
ESCAPES = ((b"\x1b$B", "iso2022_jp_ext"), (b"\x1b$@", "iso2022_jp_ext"), (b"\x1b$)C", "iso2022_kr"))
BROWSERS = {
    "iso8859-1": ["cp1252", "latin-1"],
    "ascii": ["cp1252", "latin-1"],
    "iso8859-9": ["cp1254"],
    "iso8859-11": ["cp874"],
    "tis-620": ["cp874"],
    "gb2312": ["gb18030"],
    "gbk": ["gb18030"],
    "big5": ["big5hkscs", "cp950"],
    "shift_jis": ["cp932"],
    "euc_kr": ["cp949"],
    "johab": ["cp949"],
    "utf-16": ["utf-16-le"],
}
"""What browsers read under a name (WHATWG), by the name that Python has for it; what fits is taken."""
ALIASES = {"windows-874": "cp874", "x-sjis": "cp932", "x-gbk": "gb18030", "x-mac-roman": "mac_roman"}
ALIASES |= {"macintosh": "mac_roman", "x-mac-cyrillic": "mac_cyrillic", "ks_c_5601-1987": "cp949", "dos-874": "cp874"}
MIN_WIDE = 0.9
WESTERN = "cp1252"
GUESSED = ["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "iso8859-2"]
GUESSED += ["iso8859-5", "iso8859-7", "iso8859-8", "iso8859-15", "koi8-r", "koi8-u", "cp874"]
GUESSED += ["cp437", "cp850", "cp852", "cp866", "mac-roman", "mac-cyrillic", "mac-latin2"]
GUESSED += ["gb18030", "big5hkscs", "cp932", "euc_jis_2004", "cp949"]
"""The encodings worth guessing: what people's files are in. Rare ones would only win by accident."""
SAMPLE = 1 << 18

_WESTERN = re.compile("[\0-\x7f\xa0àâäæçèéêëíîïñòóôöœùúûüßåøáÀÂÄÆÇÈÉÊËÍÑÒÓÔÖŒÙÚÜÅØÁ’‘“”–—…«»°§€£·×¿¡±²³½¼¾]*")
_UNWESTERN = re.compile(  # what stands there in words of other languages, read so
    r"[^\W\d_a-zA-Z]{3}|[^\W\d_][«¿¡±¼½¾£]|[»±¼½¾£][^\W\d_]|(?<![\dm])[²³]|\A[^?]*¿[^?]*\Z"
)
_ALPHABET = "\u0370-\u03ff\u0400-\u052f\u0590-\u06ff\u0e00-\u0e7f"
_IMPROBABLE = re.compile(f"[\x80-\x9f]|[a-zA-Z][{_ALPHABET}]|[{_ALPHABET}][a-zA-Z]")
"""Controls, and words in two alphabets."""


def marked_encoding(data: bytes) -> str | None:
    """Tell the encoding by the byte order mark; None without one."""
    return next((name for mark, name in MARKS if data.startswith(mark)), None)


def wide_encoding(data: bytes) -> str | None:
    """Tell UTF-16 and UTF-32 by their mark, or by the zeros at one place of each character; None for others."""
    if (marked := marked_encoding(data)) and marked != "utf-8-sig":
        return marked
    little = len(set(data[1:SAMPLE:2])) <= len(set(data[:SAMPLE:2]))  # the high byte varies less
    for name, width in (("utf-32-le", 4), ("utf-32-be", 4), ("utf-16-le" if little else "utf-16-be", 2)):
        if len(data) % width == 0 and _is_wide(data[: SAMPLE - SAMPLE % 4], name, width):
            return name
    return None


def escaped_encoding(data: bytes) -> str | None:
    """Tell the encodings of mail in Japanese and Korean, which are ASCII with escapes."""
    return next((name for escape, name in ESCAPES if escape in data and _decodes(data, name)), None)


def web_encodings(label: str) -> list[str]:
    """Name the encodings in which browsers read a page that declares this one."""
    name = ALIASES.get(label.lower(), label)
    try:
        name = codecs.lookup(name).name
    except LookupError:
        return []
    return BROWSERS.get(name, [name])


def _is_wide(data: bytes, name: str, width: int) -> bool:
    """True where the text is almost all letters, spaces and marks of one or two scripts, read so."""
    if len(data) < 2 * width or not _decodes(data, name):
        return False
    text = data.decode(name)
    if width == 4:
        return True  # hardly any other bytes are all code points
    if b"\0" not in data or "\0" in text:
        return False
    plain = sum(char.isalnum() or char.isspace() or char in ".,;:!?()-'\"<>=/、。，：；「」（）" for char in text)
    rows = {ord(char) >> 12 for char in text}
    return plain >= MIN_WIDE * len(text) and (len(rows) < 8)


def guess_encoding(data: bytes) -> str | None:
    """The encoding that bytes which are not UTF-8 look like, and can be decoded by; None where there is none.

    A text with letters and marks of Western Europe alone is Western; of others, the language decides.
    """
    from chardet import detect_all

    sample = data if len(data) <= SAMPLE else data[: data.rfind(b"\n", 0, SAMPLE) + 1 or SAMPLE]
    if _is_plainly_western(sample) and _decodes(data, WESTERN):
        return WESTERN
    found = detect_all(sample, ignore_threshold=True, include_encodings=GUESSED)
    names = (codecs.lookup(one["encoding"]).name for one in found if one["encoding"])
    fitting = [name for name in names if _decodes(data, name)]
    return min(fitting, key=lambda name: bool(_IMPROBABLE.search(sample.decode(name, errors="ignore"))), default=None)


def _is_plainly_western(data: bytes) -> bool:
    text = data.decode(WESTERN, errors="replace")
    return bool(_WESTERN.fullmatch(text)) and not _UNWESTERN.search(text)


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
