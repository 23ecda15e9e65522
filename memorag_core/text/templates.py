"""A user's own prompt templates, from a folder of text files."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from string import Formatter

from memorag_core.errors import InputError
from memorag_core.text.prompts import BUILT_IN, Prompts, Templates

NAMES = tuple(field.name for field in fields(Prompts))
LANGUAGES = ("en", "zh")
HOW = (
    f"A file is called NAME.txt (English) or NAME.zh.txt (Chinese), and NAME is one of: {', '.join(NAMES)}. Files that "
    "do not end in .txt are not read."
)


def read_templates(folder: Path | None) -> Templates:
    """The built-in templates, with those that the folder holds in their place; None: the built-in ones.

    Raises:
        InputError: the folder or a file cannot be used; says which, and what is allowed.
    """
    if folder is None:
        return BUILT_IN
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".txt")
    except OSError as error:
        raise InputError(f"The prompts cannot be read from {folder} ({error.strerror}). {HOW}") from error
    if not paths:
        raise InputError(f"There is no template in {folder}. {HOW}")
    templates = BUILT_IN
    for path in paths:
        name, language = _name_and_language(path)
        own = replace(getattr(templates, language), **{name: _read(path, name)})
        templates = replace(templates, **{language: own})
    return templates


def _name_and_language(path: Path) -> tuple[str, str]:
    name, _, language = path.stem.partition(".")
    language = language or "en"
    if name not in NAMES or language not in LANGUAGES:
        raise InputError(f"{path} is no template's name. {HOW}")
    return name, language


def _read(path: Path, name: str) -> str:
    """A template whose fields are those that the built-in one has."""
    try:
        text = path.read_text(encoding="utf-8-sig").rstrip("\r\n")
        found = {_field(part) for part in Formatter().parse(text)} - {None}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as UTF-8 text ({error}).") from error
    except ValueError as error:
        raise InputError(f"{path} is no template ({error}). Write a brace that is meant as such twice.") from error
    wanted = {field for _, field, _, _ in Formatter().parse(getattr(BUILT_IN.en, name)) if field}
    if found != wanted:
        raise InputError(
            f"{path} has the fields {_list(found)}; it needs {_list(wanted)}, each at least once, and no other. "
            "Write a brace that is meant as such twice."
        )
    return text


def _field(part: tuple[str, str | None, str | None, str | None]) -> str | None:
    """A field as it is written; one with a conversion or a format is none of those wanted."""
    _, field, form, conversion = part
    return f"{field}{f'!{conversion}' if conversion else ''}{f':{form}' if form else ''}" if field is not None else None


def _list(names: set[str | None]) -> str:
    return ", ".join(sorted(f"{{{name}}}" for name in names)) or "(none)"
