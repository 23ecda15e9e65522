"""What a reader makes of a file, and the checks that all texts pass."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from memorag_core.errors import InputError
from memorag_core.text.pages import join_pages
from memorag_core.types import OnStep, ignore_steps

BYTES_A_CHARACTER = 4
MAX_FILE = 200 << 20
"""Bytes of a file that holds more than text, pictures say: there the number of characters says little."""

_UNFIT = re.compile("[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_INVISIBLE = {"Zs", "Zl", "Zp", "Cc", "Cf", "Cn", "Mn", "Me"}
_FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Extract:
    """The text of a file. `pages` are the offsets at which its pages begin; `notice` is what its reader should know.

    `date` is the day that it says it is of. `words` is JSON: of pages that were read as pictures, by number, the words
    and their boxes as shares of the page.
    """

    text: str
    title: str = ""
    pages: tuple[int, ...] = ()
    notice: str = ""
    date: str = ""
    words: str = ""


@dataclass
class Counted:
    """What was left out of a file, by its name in the notice."""

    parts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, number: int) -> None:
        """Count some more of a kind."""
        if number:
            self.parts[name] = self.parts.get(name, 0) + number

    def notice(self) -> str:
        """Say what was left out, and how many."""
        return f"Left out: {', '.join(f'{name} ({n:,})' for name, n in self.parts.items())}." if self.parts else ""


STEPS: ContextVar[OnStep] = ContextVar("steps", default=ignore_steps)
"""Hears of the pages that take long to read, in the process that reads them."""


class TooLarge(InputError):
    """More than a context may hold."""


Reader = Callable[[bytes, str, int], Extract]
"""From the bytes of a file, its name for messages and the most characters. Raises `InputError`, or anything at all
where the file is damaged."""


@dataclass(frozen=True, slots=True)
class PartReader:
    """How a long file is read in parts, each in a process of its own, in which it is JSON what one of them holds.

    `read` takes what a `Reader` takes, the number of a part, and of how many; `join` all parts, the name and the limit.
    """

    read: Callable[[bytes, str, int, int, int], dict[str, Any]]
    join: Callable[[Sequence[dict[str, Any]], str, int], Extract]


def extract_pages(texts: Iterable[str], what: str, limit: int) -> tuple[str, tuple[int, ...]]:
    """Pages as one text and where each begins, not read beyond `limit` characters.

    Raises:
        InputError: too large, or without text.
    """
    text, starts = join_pages(_within(texts, what, limit))
    check_text(text, what)
    return text, starts


def check_text(text: str, what: str) -> None:
    """Refuse a text that is empty or that no file can hold.

    Raises:
        InputError: says what it holds and where.
    """
    if not any(map(_is_visible, text)):
        raise InputError(f"{what} is empty; there is nothing to memorize.")
    if "\0" in text:
        raise InputError(f"{what} holds NUL characters, so it is binary; give plain text.")
    if (lone := _SURROGATE.search(text)) is not None:
        raise InputError(f"{what} holds half a character at {lone.start()} (a lone surrogate); give plain text.")


def _is_visible(letter: str) -> bool:
    """Whether a character leaves a mark: blanks, joiners, marks of direction and fillers do not,
    nor do variation selectors and other marks, which need a letter to stand on."""
    return letter not in _FILLERS and unicodedata.category(letter) not in _INVISIBLE


def too_large(what: str, size: str, limit: int) -> TooLarge:
    """The error for what is above the limit of a context."""
    return TooLarge(
        f"{what} has {size}; the limit is {limit:,} characters. Split it into several contexts, or raise the limit "
        "with --max-characters."
    )


def _within(texts: Iterable[str], what: str, limit: int) -> Iterator[str]:
    used = 0
    for text in texts:
        clean = _UNFIT.sub("", text).strip()
        used += len(clean)
        if used > limit:
            raise too_large(what, f"more than {limit:,} characters", limit)
        yield clean
