"""Arguments as hosts send them, made what the tools declare: a model writes them, and each host has ways of its own.

What is left out comes as null, as an empty text or as an empty list; a list comes as JSON or as its only item; numbers
come as texts, and a text that is JSON comes as what it means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

NULLS = {"null", "none", "undefined"}


def as_declared(schema: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a tool with this input schema was meant to get; what is wrong with them is told later."""
    required = schema.get("required", ())
    meant = {name: _convert(value, _variants(schema, name)) for name, value in sent.items()}
    return {name: value for name, value in meant.items() if name in required or not _is_left_out(value)}


def _variants(schema: Mapping[str, Any], name: str) -> dict[str, Mapping[str, Any]]:
    """What a parameter may be, by JSON's name of the type."""
    declared = schema.get("properties", {}).get(name, {})
    named = {f"#/$defs/{name}": one for name, one in schema.get("$defs", {}).items()}
    resolved = (named.get(one.get("$ref", ""), one) for one in declared.get("anyOf", [declared]))
    return {one.get("type", ""): one for one in resolved}


def _is_left_out(value: Any) -> bool:
    return value is None or value in ([], {}) or (isinstance(value, str) and not value.strip())


def _convert(value: Any, variants: Mapping[str, Mapping[str, Any]]) -> Any:
    if _is_left_out(value):
        return None if "string" not in variants else value
    if "string" in variants:
        return _text(value, variants["string"].get("enum", ()))
    if isinstance(value, str) and value.strip().lower() in NULLS:
        return None
    if "object" in variants:
        return _object(value, variants["object"])
    if "array" in variants:
        return [item for item in _items(value) if not _is_left_out(item)]
    if not value and value is not False and any(one.get("minimum", 0) > 0 for one in variants.values()):
        return None  # no number at all, where one has to be above zero
    return value


def _text(value: Any, choices: tuple[str, ...]) -> Any:
    """A text. What was parsed on the way becomes JSON again, whose texts are as they were; its spaces are lost."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return next((choice for choice in choices if choice == value.strip().lower()), value)


def _object(value: Any, schema: Mapping[str, Any]) -> Any:
    """An object, which may come as JSON, with its own parts as they were meant."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value
    return as_declared(schema, value) if isinstance(value, Mapping) else value


def _items(value: Any) -> list[Any]:
    """A list, which may come as JSON or as its only item."""
    if isinstance(value, str):
        try:
            parsed = json.loads(value)
        except (ValueError, RecursionError):
            return [value]
        value = parsed if isinstance(parsed, list) else [parsed if isinstance(parsed, str) else value]
    return value if isinstance(value, list) else [value]
