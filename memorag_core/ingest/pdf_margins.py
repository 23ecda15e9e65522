"""Lines that stand at the head or foot of most pages are read once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

MIN_PAGES = 4
MOST = 0.5
AT_EDGE = 2
CELLS = " | "

_PAGE_NUMBER = re.compile(r"\W*+(?:page|seite|p[áa]gina|pg?\.?|s\.)?\s*\d+(?:\s*(?:/|of|von|de|di)\s*\d+)?\W*", re.I)


def keep_once(texts: Sequence[str]) -> tuple[list[str], int]:
    """Leave what repeats at the edges of most pages on the first of them; return how many lines were left out.

    The number of a page differs on each and is the same line; any other line has to be the same to the letter.
    """
    pages, left_out = [text.splitlines() for text in texts], 0
    if len(pages) < MIN_PAGES:
        return list(texts), 0
    for edge in (0, -1) * AT_EDGE:
        lines = Counter(_name(page[edge]) for page in pages if page)
        often = {line for line, count in lines.items() if count > MOST * len(pages) and CELLS not in line}
        seen: set[str] = set()
        for page in pages:
            if not page or (line := _name(page[edge])) not in often or len(page) < 2:
                continue
            if line in seen:
                del page[edge]
                left_out += 1
            seen.add(line)
    return ["\n".join(page).strip() for page in pages], left_out


def _name(line: str) -> str:
    return "#" if _PAGE_NUMBER.fullmatch(line) else line
