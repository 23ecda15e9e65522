"""Which encoding some bytes are in: by mark, by zeros, by escapes, by the names browsers use, else by looking."""

from __future__ import annotations

import codecs

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
NO_TEXTS = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "mbcs", "oem"}
NO_TEXTS |= {"hex", "base64", "bz2", "quopri", "rot-13", "uu", "zlib"}
"""What Python can decode that is no encoding of texts; reading names of hosts takes the square of their length."""
MIN_WIDE = 0.9
OTHERS = ["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r"]
OTHERS += ["gb18030", "big5", "cp932", "euc_jp", "cp949"]
"""The encodings worth guessing: what people's files are in. Rare ones would only win by accident."""
WESTERN = "cp1252"
SAMPLE = 1 << 18


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
    except (LookupError, ValueError):
        return []
    return [] if name in NO_TEXTS else BROWSERS.get(name, [name])


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
