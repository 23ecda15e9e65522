"""The tokens of RTF, and what its words say of characters: code pages, named characters, parts that nobody reads."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

SIGNS = {"Symbol", "Wingdings", "Wingdings 2", "Wingdings 3", "Webdings"}
LATIN = "cp1252"
PAGES = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850", "cp10000": "mac_roman", "cp65001": "utf-8"}
CODE_PAGES = {
    77: "mac_roman",
    128: "cp932",
    129: "cp949",
    130: "johab",
    134: "gbk",
    136: "cp950",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
    254: "cp437",
    255: "cp850",
}
"""By the character set that a font names."""
CHARACTERS = {
    "tab": "\t",
    "line": "\n",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "emdash": "—",
    "endash": "–",
    "emspace": " ",
    "enspace": " ",
    "qmspace": " ",
    "bullet": "•",
    "~": "\xa0",
    "_": "-",
    "{": "{",
    "}": "}",
    "\\": "\\",
    "zwj": "\u200d",
    "zwnj": "\u200c",
    "ltrmark": "\u200e",
    "rtlmark": "\u200f",
}
_UNREAD = (
    "pict upr colortbl filetbl revtbl listtable list listoverridetable listoverride template xe tc rxe tcn "
    "bkmkstart bkmkend "
    "atrfstart atrfend atnid atntime atnicn atndate atnref fldinst fldtype datafield formfield ffname "
    "ffdeftext ffentrymcr ffexitmcr ffhelptext ffstattext ffl objclass objname objdata objalias objsect objtime "
    "shprslt nonshppict nonesttables ftnsep ftnsepc ftncn aftnsep aftnsepc aftncn pgdsctbl generator "
    "xmlnstbl rsidtbl latentstyles themedata colorschememapping datastore mmathPr private userprops docvar "
    "author operator creatim revtim printim buptim company manager category keywords doccomm comment hlinkbase "
    "subject linkval propname staticval pnseclvl pntxta pntxtb falt panose fontemb fontfile"
)
UNREAD = frozenset(_UNREAD.split())
"""Groups that say how, not what, or say again what stands beside them."""
READ_STARRED = {"annotation", "atnauthor", "shpinst", "shppict", "do", "ud", "picprop", "nesttableprops"}
"""Groups that are read though they are marked as ones that may be passed over."""
READ_WITHIN = {"ud", "picprop"}
"""Those that are read though they stand in one that is not."""

_TOKEN = re.compile(r"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|([^\\{}\r\n]+)")


@dataclass(frozen=True, slots=True)
class Token:
    """A control word or character with its number, a brace, or characters as they are; only one is not empty."""

    word: str = ""
    number: int | None = None
    brace: str = ""
    plain: str = ""


def tokens_of(source: str) -> Iterator[Token]:
    """Cut RTF, a character for each of its bytes; what `bin` says is no text is passed over."""
    at = 0
    while (match := _TOKEN.search(source, at)) is not None:
        word, number, code, sign, brace, plain = match.groups()
        at = match.end()
        if word == "bin":
            at += max(0, int(number or 0))
        elif word:
            yield Token(word, None if number is None else int(number))
        elif code:
            yield Token(plain=chr(int(code, 16)))
        elif sign:
            yield Token("par" if sign in "\r\n" else sign)
        else:
            yield Token(brace=brace or "", plain=plain or "")


def page_named(name: str) -> str:
    """Return the codec of a code page."""
    try:
        return codecs.lookup(PAGES.get(name, name)).name
    except LookupError:
        return LATIN


def decode(codes: bytes, page: str) -> str:
    """Decode bytes of a code page; where a lone one has no meaning there, as bullets of East Asian fonts, as Latin."""
    words = codes.decode(page, "replace")
    return codes.decode(LATIN, "replace") if len(codes) == 1 and words == "\ufffd" else words


def signs(font: str, codes: bytes) -> str:
    """Write bytes of a font of signs as the characters that they look like."""
    from mammoth.docx.dingbats import dingbats

    return "".join(chr(dingbats.get((font, code), code)) for code in codes)
