"""Ids that a person would choose."""

from __future__ import annotations

import re
from collections.abc import Container

from memorag_core.errors import InputError
from memorag_core.text.normal import normalize

MAX_ID = 64
MAX_ID_BYTES = 200
READ = 1000
"""How much of a name is read."""
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
"""No file can have these names on Windows."""


def slug(name: str) -> str:
    """An id a person would choose: lower-case words of any script, joined by hyphens.

    Raises:
        InputError: the name holds no letter or digit.
    """
    words = re.findall(r"[^\W_]+", normalize("NFKC", name[:READ]).lower())
    short = "-".join(words)[:MAX_ID].encode()[:MAX_ID_BYTES].decode(errors="ignore").strip("-")
    if short in RESERVED:
        return f"{short}-text"
    if not short:
        raise InputError(f"The name {name[:MAX_ID]!r} holds no letter or digit; choose one such as 'annual-report'.")
    return short


def unique(base: str, taken: Container[str]) -> str:
    """`base`, or the first of `base-2`, `base-3` … that is not taken."""
    number, name = 1, base
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name


def qualify(context_id: str, document_id: str) -> str:
    """The id of a document among those of several contexts; neither id holds a slash."""
    return f"{context_id}/{document_id}"


def apart(document_id: str) -> tuple[str | None, str]:
    """The context's id, where a document's id is qualified by it, and the document's own."""
    context_id, slash, own = document_id.rpartition("/")
    return (context_id if slash else None), own


def slug_or(name: str, other: str) -> str:
    """The slug of a name, or `other` where the name holds no letter or digit."""
    try:
        return slug(name)
    except InputError:
        return other
