"""What of a folder is nobody's document: what programs keep for themselves, and what `.gitignore` names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pathspec import GitIgnoreSpec

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.errors import InputError

IGNORE = ".gitignore"
OF_PROGRAMS = {
    "node_modules": "packages of JavaScript",
    "bower_components": "packages of JavaScript",
    "__pycache__": "compiled Python",
    "__MACOSX": "what macOS keeps beside files",
    "site-packages": "packages of Python",
}
ENVIRONMENT = "pyvenv.cfg"
MAX_DEPTH = 100


@dataclass
class FolderWalk:
    """The files of a folder and below it, and what was passed over on the way: paths from the folder on, with why.

    What `include` or `exclude` say, as `.gitignore` would, is what was asked for, and no word is lost about it.
    """

    root: Path
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    left_out: dict[str, str] = field(default_factory=dict)

    def files(self) -> Iterator[Path]:
        """Each file, in no order."""
        self._wanted, self._unwanted = patterns(self.include), patterns(self.exclude)
        yield from self._below("", ())

    def _below(self, folder: str, ignores: tuple[tuple[str, GitIgnoreSpec], ...]) -> Iterator[Path]:
        entries = self._entries(folder)
        if any(entry.name == IGNORE for entry in entries):
            ignores = (*ignores, (folder, read_ignore(self.root / folder / IGNORE)))
        for entry in entries:
            raise_if_cancelled()
            path, is_folder = folder + entry.name, entry.is_dir(follow_symlinks=False)
            name = f"{path}/" if is_folder else path
            if self._unwanted.match_file(name.lower()):
                continue
            if why := why_not(entry, is_folder) or _ignored(name, ignores):
                self.left_out[name] = why
            elif is_folder and path.count("/") >= MAX_DEPTH:
                self.left_out[name] = "folders in folders deeper than any person makes them"
            elif is_folder:
                yield from self._below(name, ignores)
            elif not self.include or self._wanted.match_file(path.lower()):
                yield self.root / path

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / folder) as entries:
                return list(entries)
        except OSError as error:
            self.left_out[folder or "."] = f"it cannot be listed ({error.strerror})"
            return []


def why_not(entry: os.DirEntry[str], is_folder: bool) -> str:
    """Why an entry of a folder is no document by its name, or nothing where it may be one."""
    if entry.name.startswith("._"):
        return "what macOS keeps beside a file"
    if entry.name.startswith("~$") or entry.name.startswith(".~lock."):
        return "the mark of an office program that a document is open"
    if entry.name.startswith("."):
        return "hidden"
    if not is_folder and entry.is_dir():
        return "a link to a folder"
    if is_folder and entry.name in OF_PROGRAMS:
        return OF_PROGRAMS[entry.name]
    if is_folder and os.path.exists(os.path.join(entry.path, ENVIRONMENT)):  # noqa: PTH110, PTH118
        return "a virtual environment"
    return ""


def patterns(lines: Sequence[str]) -> GitIgnoreSpec:
    """Patterns such as `*.pdf` or `letters/**/18*.txt`, of whatever case.

    Raises:
        InputError: one cannot be a pattern.
    """
    for line in lines:
        if line.startswith("/"):
            raise InputError(f"{line[:80]!r} is no pattern for files in a folder: it leads out. Try '*.pdf'.")
    try:
        return GitIgnoreSpec.from_lines([line.lower() for line in lines])
    except ValueError as error:
        raise InputError(f"A pattern for files in a folder cannot be read ({error}). Try '*.pdf'.") from error


def read_ignore(path: Path) -> GitIgnoreSpec:
    """What a `.gitignore` says; nothing where it cannot be read."""
    try:
        return GitIgnoreSpec.from_lines(path.read_text(encoding="utf-8", errors="replace").splitlines())
    except (OSError, ValueError):
        return GitIgnoreSpec.from_lines([])


def _ignored(path: str, ignores: Sequence[tuple[str, GitIgnoreSpec]]) -> str:
    for folder, spec in reversed(ignores):
        said = spec.check_file(path.removeprefix(folder)).include
        if said is not None:
            return f"named in {folder}{IGNORE}" if said else ""
    return ""
