"""HTML to readable text: headings, lists and tables as Markdown writes them, paragraphs on lines of their own.

The tree is walked with a loop, not by recursion: deep nesting is what hostile and generated pages have in common.
"""

from __future__ import annotations

import re
from typing import Any

from memorag_core.errors import InputError
from memorag_core.ingest.extract import Extract, extract_pages
from memorag_core.ingest.plain import guess_encoding

SKIPPED = {"head", "script", "style", "noscript", "template", "svg", "iframe", "object", "select", "textarea"}
HEADINGS = {f"h{level}": f"{'#' * level} " for level in range(1, 7)}
PARAGRAPHS = set(HEADINGS) | {"p", "div", "section", "article", "main", "aside", "nav", "header", "footer", "ul", "ol"}
PARAGRAPHS |= {"dl", "table", "pre", "blockquote", "figure", "form", "fieldset", "hr", "body", "details", "address"}
LINES = {"li", "tr", "dt", "dd", "br", "caption", "figcaption", "summary", "option"}
PREFIXES = HEADINGS | {"li": "- "}
CELLS = {"td", "th"}
HOLDERS = CELLS | set(PREFIXES)

_SPACE = re.compile(r"[\s\xa0]+")
_CHARSET = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?([\w-]+)""", re.IGNORECASE)
_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")


def read(data: bytes, what: str, limit: int) -> Extract:
    """The text of a web page, and its title."""
    html, notice = _decode(data, what)
    title, text = reflow(html, what)
    text, _ = extract_pages([text], what, limit)
    return Extract(text, title=title, notice=notice)


def reflow(html: str, what: str) -> tuple[str, str]:
    """The title and the text of HTML.

    Raises:
        InputError: nested so deep that the parser drops a part.
    """
    from lxml import etree

    parser = etree.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True, no_network=True)
    root = etree.fromstring(_DECLARATION.sub("", html).encode(errors="replace") or b"<p/>", parser)
    if any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log):
        raise InputError(f"{what} is nested deeper than any page is, and would be cut off. Convert it to plain text.")
    if root is None:
        return "", ""
    writer = _Writer()
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, node in walk:
        if event == "start":
            writer.enter(node)
            if node.tag in SKIPPED:
                walk.skip_subtree()
        else:
            writer.leave(node)
    title = _SPACE.sub(" ", root.findtext(".//title") or "").strip()
    return title, writer.text()


class _Writer:
    """Text as it comes, with the line breaks and marks that are due before it."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._breaks = 0
        self._mark = ""
        self._opened = False
        self._verbatim = 0

    def enter(self, node: Any) -> None:
        """What comes before an element's children."""
        self._break(node.tag)
        self._verbatim += node.tag == "pre"
        if node.tag in HOLDERS:
            self._mark, self._opened = PREFIXES.get(node.tag, ""), True
        if node.tag in CELLS and node.getprevious() is not None:
            self._parts.append(" | ")
            self._breaks = 0
        if node.tag not in SKIPPED:
            self._add(node.text)

    def leave(self, node: Any) -> None:
        """What comes behind an element, its tail with it."""
        self._verbatim -= node.tag == "pre"
        if node.tag in HOLDERS:
            self._mark, self._opened, self._breaks = "", False, 0
        self._break(node.tag)
        self._add(node.tail)

    def text(self) -> str:
        """All of it, without white space at the ends of lines."""
        return "\n".join(line.rstrip(" \t") for line in "".join(self._parts).split("\n")).strip()

    def _break(self, tag: str) -> None:
        """A paragraph that opens a list item or a cell stays on its line."""
        if not self._opened and (tag in PARAGRAPHS or tag in LINES):
            self._breaks = max(self._breaks, 2 if tag in PARAGRAPHS else 1)

    def _add(self, text: str | None) -> None:
        words = text or "" if self._verbatim else _SPACE.sub(" ", text or "")
        at_start = self._breaks > 0 or not self._parts or self._parts[-1].endswith(" ")
        words = words.lstrip(" ") if at_start and not self._verbatim else words
        if not words:
            return
        self._parts += ["\n" * self._breaks if self._parts else "", self._mark, words]
        self._breaks, self._mark, self._opened = 0, "", False


def _decode(data: bytes, what: str) -> tuple[str, str]:
    """The characters of a page, and what should be known of how they were told: UTF-8, as declared, or a guess."""
    declared = _CHARSET.search(data[:4096])
    names = ["utf-16"] if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else ["utf-8-sig"]
    names += [declared.group(1).decode()] if declared else []
    for name in names:
        try:
            return data.decode(name), ""
        except (UnicodeDecodeError, LookupError):
            continue
    if b"\0" in data or not (guess := guess_encoding(data)):
        raise InputError(f"{what} is not HTML in any encoding that can be told. Save it as UTF-8.")
    return data.decode(guess), f"Not UTF-8, and no encoding declared: read as {guess}, a guess."
