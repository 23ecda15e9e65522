"""HTML to readable text: headings, lists and tables as Markdown writes them, paragraphs on lines of their own.

The tree is walked with a loop, not by recursion: deep nesting is what hostile and generated pages have in common.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from memorag_core.errors import InputError
from memorag_core.ingest.encodings import guess_encoding, web_encodings, wide_encoding
from memorag_core.ingest.extract import Extract, extract_pages
from memorag_core.ingest.html_tree import is_left_out, is_one_line, main_part, repeat_spans, text_of_field
from memorag_core.ingest.marks import subscript, superscript
from memorag_core.ingest.numbering import numeral

SKIPPED = {"head", "script", "style", "noscript", "template", "svg", "iframe", "object", "rp"}
FIELDS = {"img", "input", "select", "textarea"}
HEADINGS = {f"h{level}": f"{'#' * level} " for level in range(1, 7)}
PARAGRAPHS = set(HEADINGS) | {"p", "div", "section", "article", "main", "aside", "nav", "header", "footer", "ul", "ol"}
PARAGRAPHS |= {"dl", "table", "pre", "blockquote", "figure", "form", "fieldset", "hr", "body", "details", "address"}
LINES = {"li", "tr", "dt", "dd", "br", "caption", "figcaption", "summary", "option"}
CELLS = {"td", "th"}
HOLDERS = CELLS | set(HEADINGS) | {"li"}
MARKS = {"sup", "sub", "rt"}
DECLARED_WITHIN = 1 << 14
MAIN = "Read: the part that the page declares its main one, without the menus and the like around it."
NUMERALS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}

_SPACE = re.compile(r"[\s\xa0]+")
_CHARSET = re.compile(rb"""<meta[^<>]+?charset\s*=\s*["']?([\w-]+)""", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"""\A\s*<\?xml[^>]+encoding\s*=\s*["']([\w-]+)""")
_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")


def read(data: bytes, what: str, limit: int) -> Extract:
    """The text of a web page, and its title."""
    html, notice = decode_page(data, what)
    page = reflow(html, what)
    text, _ = extract_pages([page.text], what, limit)
    notices = [notice, tell_left_out(page.left_out), MAIN if page.is_main else ""]
    return Extract(text, title=page.title, notice=" ".join(filter(None, notices)))


def tell_left_out(count: int) -> str:
    """Tell how many parts were not read because nobody sees them."""
    return f"Left out as hidden or struck through: {count:,} part{'s' * (count > 1)}." if count else ""


class Flowed(NamedTuple):
    """What a page says: its title, its text, and how many parts were left out as hidden or struck through."""

    title: str
    text: str
    left_out: int
    is_main: bool = False


def reflow(html: str, what: str, whole: bool = False) -> Flowed:
    """Write the text of HTML: of its main part, or the whole of it.

    Raises:
        InputError: nested so deep that the parser drops a part.
    """
    from lxml import etree

    parser = etree.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True, no_network=True)
    root = etree.fromstring(_DECLARATION.sub("", html).encode(errors="replace") or b"<p/>", parser)
    if any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log):
        raise InputError(f"{what} is nested deeper than any page is, and would be cut off. Convert it to plain text.")
    if root is None:
        return Flowed("", "", 0)
    title = _SPACE.sub(" ", root.findtext(".//title") or "").strip()
    repeat_spans(root)
    writer, left_out, main = _Writer(), 0, root if whole else main_part(root)
    walk = etree.iterwalk(main, events=("start", "end"))
    for event, node in walk:
        if event == "end":
            writer.leave(node)
            continue
        hidden = is_left_out(node)
        left_out += hidden and bool("".join(node.itertext()).strip())
        writer.enter(node, hidden or node.tag in SKIPPED)
        if hidden or node.tag in SKIPPED | FIELDS:
            walk.skip_subtree()
    return Flowed(title, writer.text(), left_out, main is not root)


class _Writer:
    """Text as it comes, with the line breaks and marks that are due before it."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._breaks = 0
        self._mark = ""
        self._opened = False
        self._apart = False
        self._verbatim = 0
        self._cells: list[Any] = []
        self._raised: list[int] = []

    def enter(self, node: Any, skipped: bool) -> None:
        """Write what comes before an element's children."""
        if skipped:
            return
        self._break(node.tag)
        self._verbatim += node.tag == "pre"
        if node.tag in HOLDERS:
            self._mark, self._opened = _prefix(node), True
        if node.tag in CELLS:
            self._begin_cell(node)
        if node.tag in MARKS:
            self._raised.append(len(self._parts))
        self._add(text_of_field(node) if node.tag in FIELDS else node.text)

    def leave(self, node: Any) -> None:
        """Write what comes behind an element, its tail with it."""
        if node.tag in SKIPPED or is_left_out(node):
            self._add(node.tail)
            return
        self._verbatim -= node.tag == "pre"
        if node.tag in MARKS:
            self._write_mark(node, self._raised.pop())
        if self._cells and node is self._cells[-1]:
            self._cells.pop()
        if node.tag in HOLDERS:
            self._breaks = self._breaks if self._opened else 0
            self._mark, self._opened = "", False
        self._break(node.tag)
        self._add(node.tail)

    def _begin_cell(self, cell: Any) -> None:
        if cell.getprevious() is not None:
            self._parts += ["\n" * self._breaks if self._parts else "", " | "]
            self._breaks, self._apart = 0, False
        if is_one_line(cell):
            self._cells.append(cell)

    def _write_mark(self, node: Any, start: int) -> None:
        """Write again, as what it is, a superscript, a subscript or the reading of a character."""
        words = "".join(self._parts[start:])
        if not (mark := words.strip()):
            return
        before = "".join(self._parts[max(0, start - 4) : start])
        is_note = node.find(".//a") is not None or (node.getparent() is not None and node.getparent().tag == "a")
        written = {"sup": superscript(before, mark, is_note), "sub": subscript(mark), "rt": f"({mark})"}[node.tag]
        lead = words[: len(words) - len(words.lstrip())]
        self._parts[start:] = [lead + written]

    def text(self) -> str:
        """All of it, without white space at the ends of lines."""
        return "\n".join(line.rstrip(" \t") for line in "".join(self._parts).split("\n")).strip()

    def _break(self, tag: str) -> None:
        """A paragraph that opens a list item or a cell stays on its line."""
        if self._cells and (tag in PARAGRAPHS or tag in LINES):
            self._apart = not self._opened
        elif not self._opened and (tag in PARAGRAPHS or tag in LINES):
            self._breaks = max(self._breaks, 2 if tag in PARAGRAPHS else 1)

    def _add(self, text: str | None) -> None:
        words = text or "" if self._verbatim else _SPACE.sub(" ", text or "")
        at_start = self._breaks > 0 or not self._parts or self._parts[-1].endswith(" ")
        words = words.lstrip(" ") if at_start and not self._verbatim else words
        if not words:
            return
        space = " " if self._apart and not (at_start or words.startswith(" ")) else ""
        self._parts += ["\n" * self._breaks if self._parts else "", self._mark, space, words]
        self._breaks, self._mark, self._opened, self._apart = 0, "", False, False


def _prefix(node: Any) -> str:
    """What marks a heading or an item of a list; the number that a browser shows where it is numbered."""
    parent = node.getparent()
    if node.tag != "li":
        return HEADINGS.get(node.tag, "")
    if parent is None or parent.tag != "ol":
        return "- "
    number = _whole(parent.get("start"), 1) - 1
    for item in [*reversed([*node.itersiblings("li", preceding=True)]), node]:
        number = _whole(item.get("value"), number + 1)
    return f"{numeral(number, NUMERALS.get(parent.get('type'), 'decimal'))}. "


def _whole(value: str | None, default: int) -> int:
    return int(value) if value and re.fullmatch(r"\s*[-+]?\d{1,9}\s*", value) else default


def decode_page(data: bytes, what: str) -> tuple[str, str]:
    """Tell the characters of a page, and what should be known of how: by mark, UTF-8, as declared, or a guess."""
    declared = _CHARSET.search(data[:DECLARED_WITHIN]) or _XML_ENCODING.search(data[:DECLARED_WITHIN])
    name = declared.group(1).decode() if declared else ""
    wide = wide_encoding(data)
    for encoding in [wide] if wide else ["utf-8-sig", *web_encodings(name)]:
        try:
            return data.decode(encoding), ""
        except (UnicodeDecodeError, LookupError):
            continue
    if wide or b"\0" in data or not (guess := guess_encoding(data)):
        raise InputError(f"{what} is not HTML in any encoding that can be told. Save it as UTF-8.")
    why = f"declared as {name}, which it is not" if name else "and no encoding declared"
    return data.decode(guess), f"Not UTF-8, {why}: read as {guess}, a guess."
