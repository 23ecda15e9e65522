"""Files that were dropped on the page, on their way into a context.

    STORE/.work/uploads/ID/      the files of one drop, under the names they came with, until they are memorized

They lie in the store, so that memorizing them can be resumed after the server died; what nobody came back to within a
day is deleted.
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
from dataclasses import replace
from pathlib import Path

from memorag_core.config import WORK
from memorag_core.errors import InputError
from memorag_core.ingest import FolderWalk, Reading, read_path

MOST_FILES = 2_000
MOST_BYTES = 1 << 30
MOST_FILE_BYTES = 200 << 20
LONGEST_PART = 200
DEEPEST = 24
KEPT_SECONDS = 24 * 3600
ID_BYTES = 12

_ID = re.compile(f"[0-9a-f]{{{2 * ID_BYTES}}}")
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\:]")


class Uploads:
    """The drops of one store."""

    def __init__(self, store: Path) -> None:
        self.root = store / WORK / "uploads"

    def begin(self) -> str:
        """Make room for a drop; returns its id."""
        self._forget_old()
        upload_id = secrets.token_hex(ID_BYTES)
        (self.root / upload_id).mkdir(parents=True)
        return upload_id

    def add(self, upload_id: str, name: str, data: bytes) -> int:
        """Append to a file of a drop; returns how large the file is now.

        Raises:
            InputError: no such drop, a name that is none, or more than is taken.
        """
        folder = self.folder(upload_id)
        path = folder.joinpath(*_parts_of(name))
        sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
        if len(sizes) >= MOST_FILES or sum(sizes) + len(data) > MOST_BYTES:
            limits = f"{MOST_FILES:,} files and {MOST_BYTES >> 20:,} MiB"
            raise InputError(
                f"More than {limits} are not taken at once. Drop fewer, or memorize the folder by its path."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            if file.tell() + len(data) > MOST_FILE_BYTES:
                raise InputError(f"{name} has more than {MOST_FILE_BYTES >> 20:,} MiB. Split it.")
            file.write(data)
            return file.tell()

    def names(self, upload_id: str) -> list[str]:
        """The names of a drop's files, in order."""
        folder = self.folder(upload_id)
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    def read(self, upload_id: str, limit: int) -> Reading:
        """Read a drop's files as documents, whose sources are the names they came with. Raises as `read_path`."""
        folder = self.folder(upload_id).resolve()
        try:
            reading = read_path(FolderWalk(folder, ["**"], ours=True), limit)
        except InputError as error:
            raise InputError(_without(folder, str(error))) from error
        documents = [replace(one, source=_without(folder, one.source), origin=None) for one in reading.documents]
        return Reading(documents, {name: _without(folder, why) for name, why in reading.left_out.items()})

    def forget(self, upload_id: str) -> None:
        """Delete a drop."""
        shutil.rmtree(self.root / upload_id, ignore_errors=True)

    def folder(self, upload_id: str) -> Path:
        """The folder of a drop.

        Raises:
            InputError: there is none of that id.
        """
        folder = self.root / upload_id
        if not _ID.fullmatch(upload_id) or not folder.is_dir():
            raise InputError("What was dropped is no longer here. Drop it again.")
        return folder

    def _forget_old(self) -> None:
        for folder in self.root.iterdir() if self.root.is_dir() else ():
            if folder.stat().st_mtime < time.time() - KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def _parts_of(name: str) -> list[str]:
    """The parts of a name with slashes, none of which leads elsewhere."""
    parts = name.split("/")
    fit = len(parts) <= DEEPEST and all(0 < len(part.encode(errors="replace")) <= LONGEST_PART for part in parts)
    if not fit or _UNFIT.search(name) or any(part in {".", ".."} for part in parts):
        raise InputError(f"A file cannot have the name {name[:100]!a}. Rename it.")
    return parts


def _without(folder: Path, text: str) -> str:
    """A text that names files by the names they came with, not by where they lie for the moment."""
    return text.replace(f"{folder}/", "").replace(f"{folder}\\", "").replace(str(folder), "what was dropped")
