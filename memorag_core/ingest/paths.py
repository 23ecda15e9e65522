"""Where files may be read: inside the folders allowed, and in a folder those of kinds that are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from memorag_core.errors import InputError
from memorag_core.ingest.folders import FolderWalk
from memorag_core.ingest.formats import FORMATS, KINDS
from memorag_core.ingest.private import is_private

MAX_FILES = 10_000
PRIVATE = "{path} belongs to a store of contexts, which is not read as documents. Ask the context itself instead."


def resolve_allowed(path: Path, allowed: Sequence[Path], private: Sequence[Path] = ()) -> Path:
    """The real path, symbolic links resolved, where it lies in an allowed folder and is not private.

    Raises:
        InputError: it does not; the message names the folders that are allowed.
    """
    try:
        real = path.expanduser().resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"The path {str(path)!r} cannot be resolved ({error}); give a plain path.") from error
    if not any(real.is_relative_to(root.expanduser().resolve()) for root in allowed):
        names = ", ".join(str(root) for root in allowed) or "none"
        raise InputError(
            f"{path} is outside the folders this server may read ({names}). Move the file there, pass its text, or "
            "start the server with --allow FOLDER."
        )
    if is_private(real, private):
        raise InputError(PRIVATE.format(path=path))
    return real


def list_files(walk: FolderWalk, private: Sequence[Path] = ()) -> list[Path]:
    """The file itself, or the files of a folder and below it, in order of their names.

    Without `include`, those of the kinds that are read; with it, those that match one of the patterns (`*.pdf`, or
    `letters/**/18*.txt` from the folder on), of whatever kind. Links that lead out of the folder are not followed,
    and what is private is passed over. The walk tells what was left out of the folder, and why.

    Raises:
        InputError: nothing is there, or too much.
    """
    path = walk.root
    if "\0" in str(path):
        raise InputError("The path holds a NUL character; give the plain path of a file or folder.")
    if not _exists(path):
        raise InputError(f"There is no file or folder at {path}. Check the path; relative ones start at {Path.cwd()}.")
    if not path.is_dir():
        if walk.include or walk.exclude:
            raise InputError(f"{path} is a file; patterns choose among the files of a folder. Leave them out.")
        if is_private(path.resolve(), private):
            raise InputError(PRIVATE.format(path=path))
        return [path]
    return _files_in(walk, private)


def _files_in(walk: FolderWalk, private: Sequence[Path]) -> list[Path]:
    folder, root = walk.root, walk.root.resolve()
    files: list[Path] = []
    for path in walk.files():
        if not path.is_file() or not (real := path.resolve()).is_relative_to(root) or is_private(real, private):
            continue
        if walk.include or path.suffix.lower() in FORMATS:
            files.append(path)
        else:
            kind = path.suffix.lower() or "no suffix"
            walk.left_out[path.relative_to(folder).as_posix()] = f"of a kind that is not read ({kind})"
        if len(files) > MAX_FILES:
            raise InputError(f"{folder} holds more than {MAX_FILES:,} files to read. Choose some with a pattern.")
    if not files:
        wanted = f"no file that matches {', '.join(walk.include)}" if walk.include else f"no text file ({KINDS})"
        raise InputError(f"The folder {folder} holds {wanted}. Give a file, another folder, or other patterns.")
    return sorted(files)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # too long to be a path, or in a folder that may not be read
        raise InputError(f"There is no path {str(path)[:80]!r} to read ({error.strerror}). Check it.") from error
