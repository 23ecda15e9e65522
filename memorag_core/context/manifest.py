"""A manifest describes a stored context: `manifest.json`, with its format version and checksums."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from memorag_core.config import DOCUMENTS, MANIFEST
from memorag_core.errors import DamagedContext, IncompatibleContext, MemoRAGError, UnknownContext

FORMAT_VERSION = 1


class DocumentEntry(BaseModel):
    """A document of the context; its text is in `file`, UTF-8, byte for byte. `pages` as in `Document`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    source: str
    file: str
    characters: int
    pages: tuple[int, ...] = ()
    notice: str = ""


class FileEntry(BaseModel):
    """Size and SHA-256 of one file of the context's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """`key` is the digest of the texts and of `recipe`, all that decides the encoding: equal keys, equal contexts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    key: str
    title: str
    created: str
    recipe: dict[str, Any]
    documents: tuple[DocumentEntry, ...]
    chunks: int
    memory_tokens: int
    encode_seconds: float
    files: dict[str, FileEntry]
    seal: str = ""

    def with_seal(self) -> Manifest:
        """Return a copy with the digest that `read` checks."""
        return self.model_copy(update={"seal": digest(self.model_dump(mode="json"))})

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of a context's folder.

        Raises:
            IncompatibleContext: of a format version this program does not know.
            DamagedContext: missing, unreadable or not a manifest.
        """
        try:
            record = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            version = record["format_version"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise damage(folder, f"{MANIFEST} cannot be read ({error})") from error
        if version != FORMAT_VERSION:
            raise IncompatibleContext(
                f"The context '{folder.name}' has format version {version}; this program reads {FORMAT_VERSION}. "
                f"Upgrade memorag-mcp, or forget '{folder.name}' and memorize it again."
            )
        try:
            manifest = cls.model_validate(record)
        except ValidationError as error:
            raise damage(folder, f"{MANIFEST} is not valid") from error
        if manifest.seal != digest(record):
            raise damage(folder, f"{MANIFEST} does not match its own checksum")
        return manifest

    def check_sizes(self, folder: Path) -> None:
        """Look for missing and truncated files, without reading any.

        Raises:
            DamagedContext: names the first.
        """
        for name, entry in self.files.items():
            try:
                size = (folder / name).stat().st_size
            except OSError as error:
                raise damage(folder, f"{name} is missing") from error
            if size != entry.bytes:
                raise damage(folder, f"{name} does not match its checksum")

    def verify(self, folder: Path, below: str = "") -> None:
        """Compare every file, or those whose names start with `below`, with their recorded size and checksum.

        Raises:
            DamagedContext: names the first file that is missing or differs.
        """
        for name, entry in self.files.items():
            if not name.startswith(below):
                continue
            path = folder / name
            if not path.is_file():
                raise damage(folder, f"{name} is missing")
            try:
                intact = path.stat().st_size == entry.bytes and sha256_of(path) == entry.sha256
            except OSError as error:
                raise damage(folder, f"{name} cannot be read ({error.strerror})") from error
            if not intact:
                raise damage(folder, f"{name} does not match its checksum")


def digest(record: dict[str, Any]) -> str:
    """Compute the SHA-256 of all fields but `seal`, as they are written: fields that came later are no damage."""
    rest = {name: value for name, value in record.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def damage(folder: Path, what: str) -> MemoRAGError:
    """Make the error for a folder that cannot be read: what is wrong and how to go on; or that it is gone."""
    if not folder.exists():
        return UnknownContext(f"The context '{folder.name}' was forgotten a moment ago.")
    return DamagedContext(
        f"The context '{folder.name}' is damaged: {what}. Its texts, where intact, are in {folder / DOCUMENTS}. "
        f"Forget '{folder.name}' (memorag forget {folder.name}) and memorize it again."
    )


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
