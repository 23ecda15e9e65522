"""Where files may be read: inside the folders allowed, and in a folder those of kinds that are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from memorag_core.concurrency.cancellation import run_leavable
from memorag_core.errors import InputError, quote_name
from memorag_core.ingest.folders import FolderWalk, check_pattern
from memorag_core.ingest.formats import FORMATS, KINDS
from memorag_core.ingest.plain_file import is_plain_file
from memorag_core.ingest.private import PrivateGate

MAX_FILES = 10_000


class NothingThere(InputError):
    """There is no file or folder at a path."""


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
        raise InputError(f"The path {quote_name(text)} cannot be resolved; give a plain path.")
    try:
        real = run_leavable(lambda: path.expanduser().resolve())
        inside = any(real.is_relative_to(root.expanduser().resolve()) for root in allowed)
    except (OSError, RuntimeError):  # as of links in a circle, which a stranger need not hear of
        inside = False
    if not inside:
        names = ", ".join(str(root) for root in allowed) or "none"
        raise InputError(
            f"{quote_name(path)} is outside the folders this server may read ({names}). Move the file there, pass its "
            "text, or start the server with --allow FOLDER."
        )
    return real


def list_files(walk: FolderWalk, private: Sequence[Path] = ()) -> list[FoundFile]:
    """The file itself, or the files of a folder and below it, in order of their names.

    Without `include`, those of the kinds that are read; with it, those that match one of the patterns (`*.pdf`, or
    `letters/**/18*.txt` from the folder on), of whatever kind. Links to folders, and those that lead out of the folder,
    are not followed; what is private, or is no plain file, is passed over. The walk tells what was left out, and why.

    Raises:
        InputError: nothing is there, too much, or what is private.
    """
    path = walk.root
    if "\0" in str(path):
        raise InputError("The path holds a NUL character; give the plain path of a file or folder.")
    for pattern in (*walk.include, *walk.exclude):
        check_pattern(pattern)
    gate = PrivateGate(private, path if walk.ours else None)
    try:
        real = path.resolve()
        is_kept, exists = gate.keeps(real), path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long, not to be listed, a circle, or no name at all
        why = error.strerror if isinstance(error, OSError) else "its links go in a circle, or it is no name of a file"
        raise InputError(f"There is no path {quote_name(path)} to read ({why}). Check it.") from error
    if is_kept:
        raise InputError(
            f"{quote_name(path)} belongs to a store of contexts, which is not read as documents. Ask the context "
            "itself."
        )
    if not exists:
        raise NothingThere(
            f"There is no file or folder at {quote_name(path)}. Check the path; relative ones start at {Path.cwd()}."
        )
    if real.is_dir():
        return _files_in(walk, real, gate)
    if walk.include or walk.exclude:
        raise InputError(f"{quote_name(path)} is a file; patterns choose among the files of a folder. Leave them out.")
    return [FoundFile(path, real)]


def _files_in(walk: FolderWalk, root: Path, gate: PrivateGate) -> list[FoundFile]:
    files: list[FoundFile] = []
    for path in walk.files():
        try:
            real = path.resolve()
        except (OSError, RuntimeError):  # it became one since the folder was listed
            walk.leave_out(path, "a link to itself")
            continue
        if gate.keeps(real):
            continue
        if not real.is_relative_to(root):
            walk.leave_out(path, "a link to a file outside of the folder")
        elif not is_plain_file(real):
            walk.leave_out(path, "no plain file, but a pipe, a socket or a device")
        elif walk.include or path.suffix.lower() in FORMATS:
            files.append(FoundFile(path, real))
        else:
            walk.leave_out(
                path, f"of a kind that is not read ({quote_name(path.suffix.lower()) if path.suffix else 'no suffix'})"
            )
        if len(files) > MAX_FILES:
            raise InputError(
                f"{quote_name(walk.root)} holds more than {MAX_FILES:,} files to read. Choose some with a pattern."
            )
    if not files:
        wanted = f"no file that matches {', '.join(walk.include)}" if walk.include else f"no text file ({KINDS})"
        raise InputError(
            f"The folder {quote_name(walk.root)} holds {wanted}. Give a file, another folder, or other patterns."
        )
    return sorted(files)
