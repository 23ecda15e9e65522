"""Notebooks of Jupyter: texts as they are, code and what it printed in fences."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from memorag_core.errors import InputError, quote_name
from memorag_core.ingest.extract import Counted, Extract, extract_pages
from memorag_core.ingest.html import reflow

READ = ("text/plain", "text/markdown", "text/latex", "text/html")
"""Forms of what a cell puts out, the plainest first."""


def read(data: bytes, what: str, limit: int) -> Extract:
    """Read the cells of a notebook in their order; pictures among what they put out are told.

    Raises:
        InputError: no notebook.
    """
    try:
        notebook = json.loads(data)
        cells = notebook["cells"]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{what} is no Jupyter notebook of version 4 ({quote_name(error)}). Open it and save it anew."
        ) from error
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    shown = [output.get("data") or {} for output in outputs]
    pictures = sum(any(kind.startswith("image/") for kind in data) for data in shown)
    pictures += sum(len(cell.get("attachments") or ()) for cell in cells)
    live = sum(bool(data) and not any(kind in READ or kind.startswith("image/") for kind in data) for data in shown)
    text, _ = extract_pages(["\n\n".join(part for cell in cells for part in _parts(cell, what))], what, limit)
    counted = Counted()
    counted.add("pictures of cells", pictures)
    counted.add("what cells put out for browsers alone", live)
    return Extract(text, notice=counted.notice())


def _parts(cell: Any, what: str) -> Iterator[str]:
    source = _join(cell.get("source", ""))
    if source.strip():
        yield f"```\n{source}\n```" if cell.get("cell_type") == "code" else source
    for output in cell.get("outputs", ()):
        words = _words(output, what)
        if words.strip():
            yield f"Output:\n{words.strip()}"


def _words(output: Any, what: str) -> str:
    """The words that a cell put out, in the plainest of the forms that it gives."""
    data = output.get("data") or {}
    kind = next((kind for kind in READ if data.get(kind)), "")
    if kind == "text/html":
        return reflow(_join(data[kind]), what, whole=True).text
    error = ": ".join(filter(None, (output.get("ename"), output.get("evalue"))))
    return _join(output.get("text") or data.get(kind) or error)


def _join(lines: Any) -> str:
    return lines if isinstance(lines, str) else "".join(lines)
