"""What a command or a tool was given to read, as documents: texts, files, folders, URLs, standard input."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from memorag_core.concurrency.variables import set_within
from memorag_core.config import Settings
from memorag_core.errors import InputError
from memorag_core.ingest import (
    BYTES_A_CHARACTER,
    FolderWalk,
    Known,
    Reading,
    from_bytes,
    from_url,
    is_url,
    read_path,
    resolve_allowed,
)
from memorag_core.types import Source

FILE = "file:"
STANDARD_INPUT = "-"


def source_here(place: str, include: Sequence[str], exclude: Sequence[str]) -> Source:
    """Return what a command was given to read, by a path that says the same in every folder."""
    if place == STANDARD_INPUT or is_url(place):
        return Source(place)
    return Source(os.path.realpath(place), tuple(include), tuple(exclude))


def read_here(source: Source, known: Known, settings: Settings) -> Reading:
    """Read what a command was given, wherever it is. Raises `InputError` where it cannot be read."""
    limit = settings.max_characters
    if source.path == STANDARD_INPUT:
        data = sys.stdin.buffer.read(limit * BYTES_A_CHARACTER + 1)
        return Reading([from_bytes(data, "Standard input", limit)])
    return _read(source, known, settings, ())


def _read(source: Source, known: Known, settings: Settings, private: Sequence[Path]) -> Reading:
    if is_url(source.path):
        return Reading([from_url(source.path, settings.max_characters, settings.allow_url)], source=source)
    walk = FolderWalk(Path(source.path), source.include, source.exclude)
    return read_path(walk, settings.max_characters, private, known)


@dataclass(frozen=True)
class Host:
    """One of several hosts of a server: the folder it is in, and the folders that it lets be read."""

    folder: Path
    allow: Sequence[Path]


_host: ContextVar[Host | None] = ContextVar("host", default=None)


def serving(host: Host) -> AbstractContextManager[None]:
    """What is asked for inside, and in threads and tasks that inherit from here, this host asks for."""
    return set_within(_host, host)


@dataclass(frozen=True)
class ReadLimits:
    """What tools may read: files below `allow` but not below `private`, within the limits of the settings.

    `own` are the folders of a server that has no hosts with folders of their own.
    """

    settings: Settings
    own: Sequence[Path]
    private: Sequence[Path] = ()

    @property
    def allow(self) -> Sequence[Path]:
        """The folders that may be read for who asks now."""
        host = _host.get()
        return host.allow if host else self.own

    @property
    def here(self) -> Path:
        """The current folder of who asks now."""
        host = _host.get()
        return host.folder if host else Path.cwd()

    def read(self, source: Source, known: Known) -> Reading:
        """Read what a tool was given. Raises `InputError` where it may not or cannot be read."""
        return _read(source_of(source, self), known, self.settings, self.private)


def from_here(path: str, may: ReadLimits) -> str:
    """Absolute path. `..` is kept: resolving it textually would be wrong behind a symlink.

    A relative one is looked for here, then in the folders that may be read: hosts start servers wherever they like. Of
    the ways in which hosts write a path, the first that names something is meant.
    """
    if not path or (is_url(sent := _unquote(path)) and not sent.lower().startswith(FILE)):
        return _unquote(path)
    folders = (may.here, *may.allow)
    here, *others = (_absolute(way, folder) for way in _ways_to_write(path) for folder in folders)
    return next((place for place in (here, *others) if _is_there(place, may.allow)), here)


def _is_there(place: str, allow: Sequence[Path]) -> bool:
    """Whether something is there that may be read; of what may not, nobody hears whether it is there."""
    try:
        return os.path.exists(resolve_allowed(Path(place), allow))  # noqa: PTH110  # never raises
    except InputError:
        return False


def _absolute(path: str, folder: Path) -> str:
    return os.path.expanduser(path) if path.startswith("~") else str(folder.expanduser().absolute() / path)  # noqa: PTH111


def _ways_to_write(path: str) -> list[str]:
    """The path as it was sent, then without blanks, quotes, `file://` and `%20`, its letters composed or not."""
    bare = _unquote(path)
    if bare.lower().startswith(FILE):
        path = bare = url2pathname(urlsplit(bare).path)
    forms = [unicodedata.normalize(form, way) for way in (bare, unquote(bare)) for form in ("NFC", "NFD")]
    return list(dict.fromkeys([path, bare, *forms]))


def _unquote(path: str) -> str:
    return path.strip().strip("\"'`").strip()


def source_of(given: Source, may: ReadLimits) -> Source:
    """Return what a tool was given to read, by its real path.

    Raises:
        InputError: it may not be read.
    """
    return given if is_url(given.path) else replace(given, path=str(resolve_allowed(Path(given.path), may.allow)))
