"""Where files may be read: inside the folders allowed, and in a folder those of kinds that are read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.errors import InputError
from memorag_core.ingest.formats import FORMATS, KINDS
from memorag_core.ingest.plain_file import is_plain_file
from memorag_core.ingest.private import PrivateGate

MAX_FILES = 10_000
MAX_DEPTH = 100
MAX_PATTERN = 1000
SHOWN = 80
ANY_DEPTH = "**"


class FoundFile(NamedTuple):
    """A file by the path it was asked for, and where it really is, which is where it is to be opened."""

    path: Path
    real: Path


def resolve_allowed(path: Path, allowed: Sequence[Path]) -> Path:
    """The real path, symbolic links resolved, where it lies in an allowed folder. It need not exist.

    Raises:
        InputError: it does not; the message names the folders that are allowed, and not whether anything is there.
    """
    text = str(path)
    if "\0" in text or (text.startswith("~") and path.parts[0] != "~"):
        raise InputError(f"The path {text[:SHOWN]!r} cannot be resolved; give a plain path.")
    try:
        real = path.expanduser().resolve()
        inside = any(real.is_relative_to(root.expanduser().resolve()) for root in allowed)
    except (OSError, RuntimeError):  # as of links in a circle, which a stranger need not hear of
        inside = False
    if not inside:
        names = ", ".join(str(root) for root in allowed) or "none"
        raise InputError(
            f"{path} is outside the folders this server may read ({names}). Move the file there, pass its text, or "
            "start the server with --allow FOLDER."
        )
    return real


def list_files(path: Path, include: Sequence[str] = (), private: Sequence[Path] = ()) -> list[FoundFile]:
    """The file itself, or the files of a folder and below it, in order of their names.

    Without `include`, those of the kinds that are read; with it, those that match one of the patterns (`*.pdf`, or
    `letters/**/18*.txt` from the folder on), of whatever kind. Links to folders, and those that lead out of the folder,
    are not followed; what is private, or is no plain file, is passed over.

    Raises:
        InputError: nothing is there, too much, or what is private.
    """
    if "\0" in str(path):
        raise InputError("The path holds a NUL character; give the plain path of a file or folder.")
    _check_encoding(path)
    for pattern in include:
        _check_pattern(pattern)
    gate = PrivateGate(private)
    try:
        real = path.resolve()
        is_kept, exists = gate.keeps(real), path.exists()
    except (OSError, RuntimeError) as error:  # too long to be a path, in a folder that may not be read, or a circle
        why = error.strerror if isinstance(error, OSError) else "its links go in a circle"
        raise InputError(f"There is no path {str(path)[:SHOWN]!r} to read ({why}). Check it.") from error
    if is_kept:
        raise InputError(
            f"{path} belongs to a store of contexts, which is not read as documents. Ask the context itself."
        )
    if not exists:
        raise InputError(f"There is no file or folder at {path}. Check the path; relative ones start at {Path.cwd()}.")
    if real.is_dir():
        return _files_in(path, real, include, gate)
    if include:
        raise InputError(f"{path} is a file; patterns choose among the files of a folder. Leave them out.")
    return [FoundFile(path, real)]


def _files_in(folder: Path, root: Path, include: Sequence[str], gate: PrivateGate) -> list[FoundFile]:
    files: list[FoundFile] = []
    for inner in _walk(root):
        if not _is_wanted(inner.relative_to(root), include):
            continue
        _check_encoding(inner)
        real = inner.resolve()
        if real.is_relative_to(root) and is_plain_file(real) and not gate.keeps(real):
            files.append(FoundFile(folder / inner.relative_to(root), real))
        if len(files) > MAX_FILES:
            raise InputError(f"{folder} holds more than {MAX_FILES:,} files to read. Choose some with a pattern.")
    if not files:
        wanted = f"no file that matches {', '.join(include)}" if include else f"no text file ({KINDS})"
        raise InputError(f"The folder {folder} holds {wanted}. Give a file, another folder, or other patterns.")
    return sorted(files)


def _walk(root: Path) -> Iterator[Path]:
    """Yield all that is below a folder and is no folder itself; what may not be listed is passed over."""
    folders = [(root, 0)]
    while folders:
        folder, depth = folders.pop()
        if depth > MAX_DEPTH:
            raise InputError(f"{root} holds folders in folders deeper than {MAX_DEPTH}. Give one further down.")
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    raise_if_cancelled()
                    if entry.is_dir(follow_symlinks=False):
                        folders.append((folder / entry.name, depth + 1))
                    else:
                        yield folder / entry.name
        except OSError:
            continue


def _is_wanted(relative: Path, include: Sequence[str]) -> bool:
    if not include:
        return relative.suffix.lower() in FORMATS
    return any(_matches(relative.parts, pattern) for pattern in include)


def _matches(parts: Sequence[str], pattern: str) -> bool:
    """Whether a path matches a pattern part by part, `**` standing for any number of folders, in linear space."""
    wanted = pattern.split("/") if "/" in pattern else [ANY_DEPTH, pattern]
    reached = {0}  # how many parts of the pattern may have been used up so far
    for part in parts:
        reached = _pass_over(wanted, reached)
        stay = {at for at in reached if at < len(wanted) and wanted[at] == ANY_DEPTH}
        reached = stay | {at + 1 for at in reached - stay if at < len(wanted) and fnmatch(part, wanted[at])}
    return len(wanted) in _pass_over(wanted, reached)


def _pass_over(wanted: Sequence[str], reached: set[int]) -> set[int]:
    """Return what is reached where each `**` may stand for no folder."""
    return {
        end for at in reached for end in range(at, len(wanted) + 1) if all(part == ANY_DEPTH for part in wanted[at:end])
    }


def _check_pattern(pattern: str) -> None:
    parts = pattern.replace("\\", "/").split("/")
    if not pattern.strip("/") or len(pattern) > MAX_PATTERN or "\0" in pattern or pattern[0] == "/" or ".." in parts:
        raise InputError(
            f"{pattern[:SHOWN]!r} is no pattern for files in a folder: it has to name what is below it, as '*.pdf' or "
            f"'letters/**/18*.txt' do, in at most {MAX_PATTERN:,} characters."
        )


def _check_encoding(path: Path) -> None:
    """Refuse a name that no text can hold, before anything is made of it."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"The name {ascii(str(path))[:200]} is no UTF-8. Rename it, then try again.") from error
