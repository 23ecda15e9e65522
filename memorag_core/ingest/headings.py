"""What a plain text says of itself at its head: its title and date, in the forms of Markdown, RST, Org and others."""

from __future__ import annotations

import re

READ = 4000
"""How much of a text is looked at."""
UNDERLINED = 0.8

_FRONT = re.compile(r"\A\s{0,9}(---|\+\+\+)[ \t]*\r?\n(.{0,3000}?)\n(?:\1|\.\.\.)[ \t]*\r?(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"(?im)^(title|date)[ \t]{0,9}[:=][ \t]{0,9}(\S.*)$")
_FORMS = (
    re.compile(r"(?im)^#\+title:[ \t]*(\S.*)$"),
    re.compile(r"\\title\{([^{}\n]+)\}"),
    re.compile(r"\A=[ \t]+(\S.*)$", re.MULTILINE),
    re.compile(r"\A\s{0,9}#{1,6}[ \t]+(\S.*)$", re.MULTILINE),
)
_LINED = re.compile(
    r"\A\s{0,9}(?:[=\-~^\"*+#]{3,200}\r?\n)?[ \t]{0,9}(\S.*)\r?\n([=\-~^\"*+#])(\2{2,200})[ \t]*$", re.MULTILINE
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def find_title(text: str) -> str:
    """Return the title that a text names in its front matter, or in the heading that it begins with; else nothing."""
    front, rest = _split_front(text[:READ])
    if named := _read_field(front, "title"):
        return named
    if (lined := _LINED.search(rest)) and len(lined[3]) + 1 >= UNDERLINED * len(lined[1].strip()):
        return lined[1].strip()
    found = (form.search(rest) for form in _FORMS)
    return next((match[1].strip() for match in found if match), "")


def find_date(text: str) -> str:
    """Return the day that a text's front matter names, in ISO 8601; else nothing."""
    match = _DATE.search(_read_field(_split_front(text[:READ])[0], "date"))
    return match.group() if match else ""


def _split_front(head: str) -> tuple[str, str]:
    match = _FRONT.match(head)
    return (match[2], head[match.end() :].lstrip()) if match else ("", head)


def _read_field(front: str, name: str) -> str:
    named = (match[2] for match in _FIELD.finditer(front) if match[1].lower() == name)
    return next(named, "").strip().strip("\"'").strip()
