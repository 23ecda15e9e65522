"""A structured result as text for people: an outline of its labels, with links to the resources that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mcp.types import ResourceLink

from memorag_mcp.schemas.contexts import context_uri

LINKS = 20
CHARACTERS = 80_000
INDENT = "  "


def outline(value: Mapping[str, Any], depth: int = 0) -> str:
    """Labels and values, one a line; long texts are set in below their label; what has no value is left out."""
    return "\n".join(line for label, item in value.items() for line in _lines(label, item, INDENT * depth, depth))


def shorten(text: str) -> str:
    """A text that no client has to cut, which says where it was cut here."""
    if len(text) <= CHARACTERS:
        return text
    return f"{text[:CHARACTERS]}\n… cut here: ask for less, or read the structured result, which is whole."


def links(result: Mapping[str, Any]) -> list[ResourceLink]:
    """Links to the contexts and documents that a result names, each once."""
    found: dict[str, ResourceLink] = {}
    for link in _links(result, result.get("context_id")):
        found.setdefault(link.uri, link)
    return list(found.values())[:LINKS]


def _lines(label: str, item: Any, margin: str, depth: int) -> Iterator[str]:
    if item is None or item in ("", {}):
        return
    if item == []:
        yield f"{margin}{label}: none"
    elif isinstance(item, Mapping):
        yield f"{margin}{label}:"
        yield outline(item, depth + 1)
    elif isinstance(item, list):
        yield f"{margin}{label}:"
        for entry in item:
            yield f"{margin}- {_entry(entry, depth + 1)}"
    elif isinstance(item, str) and len(item.splitlines()) > 1:
        yield f"{margin}{label}:"
        yield from (f"{margin}{INDENT}| {line}" for line in item.splitlines())
    else:
        yield f"{margin}{label}: {item}"


def _entry(entry: Any, depth: int) -> str:
    """A text is one line, so that no line of a document stands where a label of ours could."""
    return outline(entry, depth).lstrip() if isinstance(entry, Mapping) else " ".join(str(entry).splitlines())


def _links(value: Any, context_id: str | None) -> Iterator[ResourceLink]:
    if isinstance(value, list):
        for item in value:
            yield from _links(item, context_id)
    elif isinstance(value, Mapping):
        context_id = value.get("context_id") or context_id
        uri = value.get("uri")
        if context_id and (document_id := value.get("document_id")):
            uri = context_uri(context_id, "documents", document_id)
        if uri:
            name = value.get("title") or value.get("document_id") or context_id or uri
            yield ResourceLink(type="resource_link", uri=uri, name=name)
        for item in value.values():
            yield from _links(item, context_id)
