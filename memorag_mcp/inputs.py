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
    Reading,
    from_bytes,
    from_text,
    from_url,
    is_url,
    read_path,
    resolve_allowed,
)
from memorag_core.text.ids import unique
from memorag_core.types import Document, OnProgress, ignore_progress

FILE = "file:"


@dataclass(frozen=True)
class Selection:
    """Which files of a folder are meant: patterns of those to read alone, and of those to leave out."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()


ALL = Selection()


def documents_at(
    places: Sequence[str], settings: Settings, chosen: Selection, on_progress: OnProgress = ignore_progress
) -> Reading:
    """The documents of all places, each with an id of its own, and what was left out of folders."""
    documents: list[Document] = []
    left_out: dict[str, str] = {}
    for place in places:
        reading = _at(place, settings, chosen, on_progress)
        left_out |= reading.left_out
        for document in reading.documents:
            taken = {other.id for other in documents}
            documents.append(replace(document, id=unique(document.id, taken)))
    return Reading(documents, left_out)


def _at(place: str, settings: Settings, chosen: Selection, on_progress: OnProgress) -> Reading:
    limit = settings.max_characters
    if place == "-":
        data = sys.stdin.buffer.read(limit * BYTES_A_CHARACTER + 1)
        return Reading([from_bytes(data, "Standard input", limit)])
    if is_url(place):
        return Reading([from_url(place, limit, settings.allow_url)])
    walk = FolderWalk(Path(place), chosen.include, chosen.exclude)
    return read_path(walk, limit, on_progress=on_progress)


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


def documents_of(
    text: str, path: str, title: str, chosen: Selection, may: ReadLimits, on_progress: OnProgress = ignore_progress
) -> Reading:
    """The documents that a tool was given: a text, or what is at a path.

    Raises:
        InputError: neither or both, or what may not or cannot be read.
    """
    if not text and not path:
        raise InputError("What was given is empty; there is nothing to memorize. Give either text or path.")
    if text and path:
        raise InputError("Give either text or path, one of them: the text itself, or a file or folder to read.")
    if chosen != ALL and (not path or is_url(path)):
        raise InputError("include and exclude choose among the files of a folder; leave them out, or give its path.")
    if not path:
        return Reading([from_text(text, title)])
    if is_url(path):
        return Reading([from_url(path, may.settings.max_characters, may.settings.allow_url)])
    real = resolve_allowed(Path(path), may.allow)
    walk = FolderWalk(real, chosen.include, chosen.exclude)
    return read_path(walk, may.settings.max_characters, may.private, on_progress)
