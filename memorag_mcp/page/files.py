"""The files of the page: as they are for a browser, and as one document for hosts.

A host gives the page no place to load anything from, so styles and modules are put into its HTML. Modules become one:
they only import names of each other, and no two of them give a name to different things (a test says so).
"""

from __future__ import annotations

import functools
import re
from importlib.resources import files
from pathlib import PurePosixPath

START = "main.js"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.]+)";\n', re.M)
_EXPORT = re.compile(r"^export (?=(?:async )?function|const|class|let)", re.M)
_STYLES = re.compile(r'<link rel="stylesheet" href="page/([\w.]+)">')
_SCRIPT = re.compile(r'<script type="module" src="page/[\w.]+"></script>')
_ICON = re.compile(r'<link rel="icon"[^<>]*>\n')


@functools.cache
def read_files() -> dict[str, str]:
    """Return every file of the page by its name."""
    folder = files("memorag_mcp.page") / "static"
    kept = [entry for entry in folder.iterdir() if PurePosixPath(entry.name).suffix in TYPES]
    return {entry.name: entry.read_text(encoding="utf-8") for entry in kept}


@functools.cache
def inline_page() -> str:
    """Return the page as one HTML document that loads nothing."""
    html = _ICON.sub("", read_files()["index.html"])
    html = _STYLES.sub(lambda match: f"<style>\n{read_files()[match[1]]}</style>", html)
    script = "".join(_EXPORT.sub("", _IMPORT.sub("", read_files()[name])) for name in order_modules())
    return _SCRIPT.sub(lambda _: f'<script type="module">\n{script}</script>', html)


def order_modules() -> list[str]:
    """Return the names of all modules, each behind those that it imports."""
    ordered: list[str] = []

    def visit(name: str) -> None:
        for other in _IMPORT.findall(read_files()[name]):
            visit(other)
        if name not in ordered:
            ordered.append(name)

    visit(START)
    return ordered
