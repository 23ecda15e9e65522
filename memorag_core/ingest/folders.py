"""What of a folder is nobody's document: what programs keep for themselves, and what `.gitignore` names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from pathspec import GitIgnoreSpec

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.errors import InputError, quote_name
from memorag_core.ingest.plain_file import read_plain_file
from memorag_core.types import Source

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
MAX_PATTERN = 1000
MAX_IGNORE = 100_000
MAX_STARS = 3
ANY_DEPTH = "**"


@dataclass
class FolderWalk:
    """The files of a folder and below it, and what was passed over on the way: paths from the folder on, with why.

    What `include` or `exclude` say is what was asked for, and no word is lost about it. `ours` says that this program
    put the files there, in its own store, to be read; `root` is a real path then. `unlisted` are folders that could not
    be looked into.
    """

    root: Path
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    ours: bool = False
    unlisted: list[Path] = field(default_factory=list)

    @property
    def source(self) -> Source | None:
        """What is walked over; None where its name is none that can be written down."""
        name = str(self.root)
        fit = name == name.encode(errors="replace").decode()
        return Source(name, tuple(self.include), tuple(self.exclude)) if fit else None

    def files(self) -> Iterator[Path]:
        """Each file, in no order."""
        yield from self._below("", ())

    def leave_out(self, path: Path, why: str) -> None:
        """Tell that a path below the folder was not read."""
        self._tell(path.relative_to(self.root).as_posix(), why)

    def _tell(self, name: str, why: str) -> None:
        """Enter it, in characters that every text can hold: names from old disks have others."""
        told, because = (words.encode(errors="replace").decode() for words in (name, why))
        self.left_out[told] = because

    def _below(self, folder: str, ignores: tuple[tuple[str, GitIgnoreSpec], ...]) -> Iterator[Path]:
        entries = self._entries(folder)
        if any(entry.name == IGNORE for entry in entries):
            ignores = (*ignores, (folder, read_ignore(self.root / folder / IGNORE)))
        for entry in entries:
            raise_if_cancelled()
            path, is_folder = folder + entry.name, entry.is_dir(follow_symlinks=False)
            name = f"{path}/" if is_folder else path
            if matches_any(path, self.exclude):
                continue
            if why := why_not(entry, is_folder) or _ignored(name, ignores):
                self._tell(name, why)
            elif is_folder and path.count("/") >= MAX_DEPTH:
                self._tell(name, "folders in folders deeper than any person makes them")
            elif is_folder:
                yield from self._below(name, ignores)
            elif not self.include or matches_any(path, self.include):
                yield self.root / path

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / folder) as entries:
                return list(entries)
        except OSError as error:
            self.unlisted.append(self.root / folder)
            self._tell(folder or ".", f"it cannot be listed ({error.strerror})")
            return []


def matches_any(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path, from the folder on, matches a pattern, whatever the case."""
    return any(_matches(path.lower().split("/"), pattern.lower()) for pattern in patterns)


def why_not(entry: os.DirEntry[str], is_folder: bool) -> str:
    """Why an entry of a folder is no document by its name, or nothing where it may be one."""
    if entry.name.startswith("._"):
        return "what macOS keeps beside a file"
    if entry.name.startswith("~$") or entry.name.startswith(".~lock."):
        return "the mark of an office program that a document is open"
    if entry.name.startswith("."):
        return "hidden"
    if entry.is_symlink() and (why := _why_not_followed(entry)):
        return why
    if is_folder and entry.name in OF_PROGRAMS:
        return OF_PROGRAMS[entry.name]
    if is_folder and os.path.exists(os.path.join(entry.path, ENVIRONMENT)):  # noqa: PTH110, PTH118
        return "a virtual environment"
    return ""


def _why_not_followed(link: os.DirEntry[str]) -> str:
    try:
        return "a link to a folder" if link.is_dir() else "" if link.is_file() else "a link to no file"
    except OSError:
        return "a link to itself"


def check_pattern(pattern: str) -> None:
    parts = pattern.replace("\\", "/").split("/")
    if not pattern.strip("/") or len(pattern) > MAX_PATTERN or "\0" in pattern or pattern[0] == "/" or ".." in parts:
        raise InputError(
            f"{quote_name(pattern)} is no pattern for files in a folder: it has to name what is below it, as '*.pdf' "
            f"or 'letters/**/18*.txt' do, in at most {MAX_PATTERN:,} characters."
        )


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


def read_ignore(path: Path) -> GitIgnoreSpec:
    """What a `.gitignore` says; nothing where it cannot be read. Lines that take long to match are left out."""
    try:
        text = "" if path.is_symlink() else read_plain_file(path.resolve(), MAX_IGNORE).decode(errors="replace")
        lines = [line[:MAX_PATTERN] for line in text.splitlines()]
        return GitIgnoreSpec.from_lines(line for line in lines if line.replace("**", "").count("*") <= MAX_STARS)
    except (OSError, ValueError, InputError):
        return GitIgnoreSpec.from_lines([])


def _ignored(path: str, ignores: Sequence[tuple[str, GitIgnoreSpec]]) -> str:
    for folder, spec in reversed(ignores):
        said = spec.check_file(path.removeprefix(folder)).include
        if said is not None:
            return f"named in {folder}{IGNORE}" if said else ""
    return ""
