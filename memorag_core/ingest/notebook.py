"""Notebooks of Jupyter: texts as they are, code and what it printed in fences."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from memorag_core.errors import InputError, quote_name
from memorag_core.ingest.extract import Extract, extract_pages


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
    pictures = sum(any(kind.startswith("image/") for kind in output.get("data", ())) for output in outputs)
    text, _ = extract_pages(["\n\n".join(part for cell in cells for part in _parts(cell))], what, limit)
    return Extract(text, notice=f"Left out: pictures that cells put out ({pictures:,})." if pictures else "")


def _parts(cell: Any) -> Iterator[str]:
    source = _join(cell.get("source", ""))
    if source.strip():
        yield f"```\n{source}\n```" if cell.get("cell_type") == "code" else source
    for output in cell.get("outputs", ()):
        words = _join(output.get("text") or output.get("data", {}).get("text/plain") or output.get("evalue") or "")
        if words.strip():
            yield f"Output:\n{words.strip()}"


def _join(lines: Any) -> str:
    return lines if isinstance(lines, str) else "".join(lines)
