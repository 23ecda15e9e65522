"""Texts in RTF: paragraphs, tables, notes, comments, text boxes, headers and footers; without pictures and settings."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from memorag_core.errors import InputError
from memorag_core.ingest.extract import Counted, Extract, extract_pages
from memorag_core.ingest.marks import subscript, superscript
from memorag_core.ingest.rtf_lines import NESTED_CELL, Gathering
from memorag_core.ingest.rtf_tokens import (
    CHARACTERS,
    CODE_PAGES,
    LATIN,
    PAGES,
    READ_STARRED,
    READ_WITHIN,
    SIGNS,
    UNREAD,
    Token,
    decode,
    page_named,
    signs,
    tokens_of,
)

MAX_LEVEL = 6
BEGIN = b"{\\rtf"
MARGINS = {f"{place}{side}" for place in ("header", "footer") for side in ("", "l", "r", "f")}
TABLES = {"fonttbl", "stylesheet"}
APART = {"footnote", "annotation", "atnauthor", "shptxt", "dptxbxtext", "sn", "sv", "title", *TABLES, *MARGINS}
"""Groups whose words stand elsewhere than those around them."""
HIDING = {"v": "hidden text", "strike": "struck text", "striked": "struck text", "deleted": "tracked deletions"}
RAISING = {"super": 1, "up": 1, "sub": -1, "dn": -1, "nosupersub": 0}
BREAKS = {"sect", "page", "column"}
KEPT_BEFORE = 4
DESCRIPTION = "wzDescription"

_HEADING = re.compile(r"\s*heading (\d)", re.IGNORECASE)


def read(data: bytes, what: str, limit: int) -> Extract:
    """Read RTF in the code pages that it declares; what is left out is told.

    Raises:
        InputError: no RTF.
    """
    if not data.lstrip().startswith(BEGIN):
        raise InputError(f"{what} is damaged: it does not begin as RTF does. Open it and save it anew.")
    reader = _Reader()
    for token in tokens_of(data.decode("latin-1")):
        if not reader.take(token):
            break
    text, _ = extract_pages([reader.text()], what, limit)
    return Extract(text, title=reader.title, notice=reader.counted.notice())


@dataclass(frozen=True, slots=True)
class _State:
    """What holds within a group; `place` is where its words go, and `skips` how many follow for old readers."""

    place: Gathering
    unread: bool = False
    hidden: str = ""
    raised: int = 0
    font: int = -1
    skips: int = 1
    in_table: bool = False
    heading: int = 0


class _Reader:
    """Takes the tokens of a file one by one."""

    def __init__(self) -> None:
        self.title = ""
        self.counted = Counted()
        self._body = Gathering()
        self._margins: dict[str, str] = {}
        self._state = _State(self._body)
        self._outer: list[_State] = []
        self._page, self._pages = LATIN, dict[int, str]()
        self._fonts: dict[int, str] = {}
        self._default_font = -1
        self._headings: dict[int, int] = {}
        self._style = 0
        self._author = self._property = ""
        self._bytes, self._page_of_bytes = bytearray(), LATIN
        self._skip, self._starred, self._was_hidden = 0, False, ""
        self._half = ""

    def take(self, token: Token) -> bool:
        """Take the next token; False once the text has ended."""
        if token.plain:
            self._take_plain(token.plain)
            return True
        if token.word != "u":
            self._flush()
        if token.brace == "{":
            self._outer.append(self._state)
            self._skip = 0
        elif token.brace:
            return self._end_group()
        elif token.word == "*":
            self._starred = True
        elif self._skip and token.word in CHARACTERS:
            self._skip -= 1
        else:
            self._take_word(token.word, token.number)
        return True

    def text(self) -> str:
        """Return what a person reads: headers once before the text, footers once behind it."""
        self._flush()
        body = self._body.words()
        heads = [words for words, name in self._margins.items() if name.startswith("header")]
        feet = [words for words, name in self._margins.items() if name.startswith("footer")]
        return "\n\n".join(filter(None, [*heads, body, *feet]))

    def _take_plain(self, plain: str) -> None:
        passed = min(self._skip, len(plain))
        self._skip -= passed
        if plain[passed:] and not self._state.unread:
            self._join_halves()
            self._page_of_bytes = self._pages.get(self._state.font, self._page)
            self._bytes += plain[passed:].encode("latin-1")

    def _take_word(self, word: str, number: int | None) -> None:
        starred, self._starred = self._starred, False
        state = self._state
        if word == "u":
            self._flush_bytes()
            self._half += "" if state.unread else chr((number or 0) & 0xFFFF)
            self._skip = state.skips
        elif word in READ_WITHIN:
            self._state = replace(state, unread=False)
        elif state.unread:
            return
        elif word in UNREAD or (starred and word not in READ_STARRED):
            self.counted.add("pictures", word == "pict")
            self._state = replace(state, unread=True)
        elif word in APART:
            self._state = replace(state, place=Gathering(word), hidden="", raised=0, in_table=False, heading=0)
        elif word in CHARACTERS:
            self._write(CHARACTERS[word])
        elif not self._break(word):
            self._style_by(word, number)

    def _break(self, word: str) -> bool:
        """End a paragraph, a cell or a row, where a word does; and whether it did."""
        place, state = self._state.place, self._state
        if word in {"par", *BREAKS}:
            self._write(" ") if state.in_table else place.end_line(state.heading)
            if word in BREAKS:
                place.lines.append("")
        elif word == "cell":
            place.end_cell()
        elif word == "nestcell":
            place.line.append(NESTED_CELL)
        elif word == "row":
            place.end_row()
        elif word == "nestrow":
            place.end_nested_row()
        else:
            return False
        return True

    def _style_by(self, word: str, number: int | None) -> None:
        """Change what holds from here on in this group."""
        state, on = self._state, number != 0
        if word in HIDING:
            kind = HIDING[word]
            self._state = replace(state, hidden=kind if on else "" if state.hidden == kind else state.hidden)
        elif word in RAISING:
            self._state = replace(state, raised=RAISING[word] if on else 0)
        elif word == "plain":
            self._state = replace(state, hidden="", raised=0, font=self._default_font)
        elif word == "pard":
            self._state = replace(state, in_table=False, heading=0)
        elif word == "intbl":
            self._state = replace(state, in_table=True)
        elif word == "s":
            self._style = number or 0
            self._state = replace(state, heading=self._headings.get(self._style, 0))
        elif word == "outlinelevel":
            self._state = replace(state, heading=(number or 0) + 1 if (number or 0) < MAX_LEVEL else 0)
        elif word == "uc":
            self._state = replace(state, skips=max(0, number or 0))
        elif word == "object":
            self.counted.add("embedded objects", 1)
        else:
            self._encode_by(word, number or 0)

    def _encode_by(self, word: str, number: int) -> None:
        """Change by which code page bytes are read: that of their font, or of the file."""
        if word == "f":
            self._state = replace(self._state, font=number)
        elif word == "deff":
            self._default_font = number
        elif word == "fcharset" and number in CODE_PAGES:
            self._pages[self._state.font] = CODE_PAGES[number]
        elif word == "cpg":
            self._pages[self._state.font] = page_named(f"cp{number}")
        elif word in PAGES or word == "ansicpg":
            self._page = page_named(word if word in PAGES else f"cp{number}")

    def _end_group(self) -> bool:
        ended = self._state
        self._skip, self._starred = 0, False
        if not self._outer:
            return False
        self._state = self._outer.pop()
        if ended.place is not self._state.place:
            self._close(ended.place)
        return bool(self._outer)

    def _close(self, place: Gathering) -> None:
        """Put the words of a group apart where they are read."""
        words, around = place.words(), self._state
        name, line = place.name, " ".join(words.split())
        if name == "title":
            self.title = line
        elif name == "atnauthor":
            self._author = line
        elif name == "sn":
            self._property = line
        elif not words or around.hidden:
            return
        elif name in MARGINS:
            self._margins.setdefault(words, name)
        elif name == "footnote":
            around.place.line.append(f"[{line}]")
        elif name == "annotation":
            around.place.behind.append(f"[Comment by {self._author or 'unknown'}: {line}]")
        elif name != "sv":
            around.place.behind.append(words)
        elif self._property == DESCRIPTION:
            around.place.behind.append(f"[Image: {line}]")

    def _learn(self, table: str, words: str) -> None:
        """Learn the name of a font, or which heading a style is."""
        state = self._state
        if table == "fonttbl":
            self._fonts[state.font] = (self._fonts.get(state.font, "") + words).strip("; ")
        elif (match := _HEADING.match(words)) or state.heading:
            self._headings[self._style] = int(match[1]) if match else state.heading

    def _flush(self) -> None:
        self._flush_bytes()
        self._join_halves()

    def _flush_bytes(self) -> None:
        if not self._bytes:
            return
        words = decode(bytes(self._bytes), self._page_of_bytes)
        font, codes = self._fonts.get(self._state.font, ""), bytes(self._bytes)
        self._bytes.clear()
        self._write(signs(font, codes) if font in SIGNS else words)

    def _join_halves(self) -> None:
        """Write characters that were given by number; two halves are one."""
        if self._half:
            units, self._half = self._half, ""
            self._write(units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))

    def _write(self, words: str) -> None:
        state = self._state
        if state.place.name in TABLES:
            self._learn(state.place.name, words)
            return
        if state.hidden:
            if state.hidden != self._was_hidden and words.strip():
                self.counted.add(state.hidden, 1)
                self._was_hidden = state.hidden
            return
        self._was_hidden = ""
        line = state.place.line
        if state.raised:
            before = "".join(line[-KEPT_BEFORE:])
            words = superscript(before, words) if state.raised > 0 else subscript(words)
        line.append(words)
