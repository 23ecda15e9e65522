"""Schemas of tools as they are listed: what hosts and their models need, said once, since every session carries it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mcp.types import Tool


def list_shortly(tools: Iterable[Tool]) -> list[Tool]:
    """Every tool without the margins of docstrings and the titles that Pydantic makes of names; results told once."""
    told: set[str] = set()
    return [
        tool.model_copy(
            update={
                "description": unwrap(tool.description),
                "input_schema": shorten_input(tool.input_schema),
                "output_schema": shorten_output(tool.output_schema, told),
            }
        )
        for tool in tools
    ]


def unwrap(docstring: str | None) -> str:
    """Return a docstring as one line."""
    return " ".join((docstring or "").split())


def strip_titles(schema: Any) -> Any:
    """A JSON schema without the titles that Pydantic makes of names, which tell a host's model nothing.

    A property that is called `title` is a schema, not a text, and stays.
    """
    if isinstance(schema, list):
        return [strip_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: strip_titles(item) for key, item in schema.items() if key != "title" or not isinstance(item, str)}


def shorten_input(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of arguments, without defaults that are nothing: what is left out is left out."""
    named = {name: _without(one, "description") for name, one in schema.get("$defs", {}).items()}
    short: dict[str, Any] = _drop_empty_defaults(strip_titles(schema | ({"$defs": named} if named else {})))
    return short


def _drop_empty_defaults(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_drop_empty_defaults(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    rest = _without(schema, "default") if schema.get("default", 1) in (None, "", []) else schema
    return {key: _drop_empty_defaults(item) for key, item in rest.items()}


def shorten_output(schema: dict[str, Any] | None, told: set[str]) -> dict[str, Any] | None:
    """The schema of a result, in which a description that another tool's result has given already is left out.

    What a class of ours is for is told by the property that holds it.
    """
    if schema is None:
        return None
    definitions = {name: _without(one, "description") for name, one in schema.get("$defs", {}).items()}
    bare = _without(strip_titles(schema | ({"$defs": definitions} if definitions else {})), "description")
    short: dict[str, Any] = _tell_once(bare, told)
    return short


def _without(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: item for key, item in schema.items() if key != name}


def _tell_once(schema: Any, told: set[str]) -> Any:
    if isinstance(schema, list):
        return [_tell_once(item, told) for item in schema]
    if not isinstance(schema, dict):
        return schema
    words = schema.get("description")
    if isinstance(words, str):
        if words in told:
            schema = _without(schema, "description")
        told.add(words)
    return _join_null({key: _tell_once(item, told) for key, item in schema.items()})


def _join_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A plain type or null as a list of both, which is what JSON Schema has for it."""
    either = schema.get("anyOf")
    if not isinstance(either, list) or len(either) != 2 or either[1] != {"type": "null"} or "type" not in either[0]:
        return schema
    rest = {key: item for key, item in schema.items() if key != "anyOf"}
    nullable: dict[str, Any] = rest | either[0] | {"type": [either[0]["type"], "null"]}
    return nullable
