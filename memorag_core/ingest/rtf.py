"""Texts in RTF, without their pictures and settings."""

from __future__ import annotations

import re

from memorag_core.errors import InputError
from memorag_core.ingest.extract import Extract, extract_pages
from memorag_core.ingest.marks import subscript, superscript

BEGIN = b"{\\rtf"

_UNSEEN = re.compile(r"\\(v|striked?1?)(?![a-z\d])((?:\\[a-z]+-?\d*)*) ?([^\\{}]+)")
_PICTURE = re.compile(r"\\pict\b")
_MARK = re.compile(r"\\(super|sub)(?![a-z])((?:\\[a-z]+-?\d*)*) ?([^\\{}]+)")
_MARKED = re.compile("(.{0,4})([\ue000\ue001])([^\ue000-\ue002]*)\ue002")
_OPEN = {"super": 0xE000 - 0x10000, "sub": 0xE001 - 0x10000}
_CLOSE = 0xE002 - 0x10000
_CELL_END = re.compile(r"\|[^\S\n]*$", re.MULTILINE)


def read(data: bytes, what: str, limit: int) -> Extract:
    """Read RTF in the code page that it declares; pictures are told.

    Raises:
        InputError: no RTF.
    """
    from striprtf.striprtf import rtf_to_text

    if not data.lstrip().startswith(BEGIN):
        raise InputError(f"{what} is damaged: it does not begin as RTF does. Open it and save it anew.")
    source, unseen = _UNSEEN.subn(lambda match: f"{match[2]} ", data.decode("latin-1"))
    marked = _MARK.sub(lambda mark: f"{mark[2]}{' ' * bool(mark[2])}\\u{_OPEN[mark[1]]}?{mark[3]}\\u{_CLOSE}?", source)
    words = rtf_to_text(marked, encoding="cp1252", errors="replace")  # type: ignore[no-untyped-call]  # ships no types
    words = _MARKED.sub(_write_mark, words).replace("\r\n", "\n")
    words = re.sub(r"(?<=\S)\|(?=\S)", " | ", _CELL_END.sub("", words))
    text, _ = extract_pages([words], what, limit)
    pictures = len(_PICTURE.findall(source))
    left = {"pictures": pictures, "hidden or struck text": unseen}
    told = ", ".join(f"{name} ({count:,})" for name, count in left.items() if count)
    return Extract(text, notice=f"Left out: {told}." if told else "")


def _write_mark(match: re.Match[str]) -> str:
    before, kind, words = match.groups()
    return before + (superscript(before, words) if kind == "\ue000" else subscript(words))
