"""A manifest describes a stored context: `manifest.json`, with its format version and checksums.

A folder may have been made by somebody else, seal and all. So every field is checked, names lead nowhere but to files
below the folder, and what is not listed, or is no plain file, is damage.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, field_validator

from memorag_core.config import DOCUMENTS, MANIFEST, MAX_LABEL, ORIGINALS
from memorag_core.errors import DamagedContext, IncompatibleContext, MemoRAGError, UnknownContext, quote_name
from memorag_core.ingest.plain_file import NoPlainFile, read_plain_file
from memorag_core.types import Origin, Ready, Source

FORMAT_VERSION = 1
MAX_MANIFEST = 64 << 20
MAX_NAME = 1024
ROLES = ("memory", "embedder")

_SHA256 = r"^[0-9a-f]{64}$"
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\]")


def _check_name(name: str) -> str:
    """Refuse the name of a file that is not plainly below the folder."""
    if _UNFIT.search(name) or any(part in {"", ".", ".."} for part in name.split("/")):
        raise ValueError("is no plain name of a file below the folder")
    return name


def _check_pages(pages: tuple[int, ...]) -> tuple[int, ...]:
    if any(one > other for one, other in pairwise((0, *pages))):
        raise ValueError("are in no order")
    return pages


def _check_date(created: str) -> str:
    datetime.fromisoformat(created)
    return created


FileName = Annotated[str, Field(max_length=MAX_NAME), AfterValidator(_check_name)]
Amount = Annotated[int, Field(ge=0, lt=1 << 53)]
Label = Annotated[str, Field(max_length=MAX_LABEL)]


class DocumentEntry(BaseModel):
    """A document of the context; its text is in `file`, UTF-8, byte for byte. `pages` as in `Document`.

    `original` is the file it was read from, where that shows how its pages look; a context of before has none, and no
    `origin`. `words` are those of pages that are pictures, with where they stand.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: FileName
    title: Label
    source: Label
    file: FileName
    characters: Amount
    pages: Annotated[tuple[int, ...], AfterValidator(_check_pages)] = ()
    notice: Label = ""
    original: FileName | None = None
    date: Label = ""
    origin: Origin | None = None
    words: FileName | None = None


class FileEntry(BaseModel):
    """Size and SHA-256 of one file of the context's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: Amount
    sha256: str = Field(pattern=_SHA256)


class Manifest(BaseModel):
    """`key` is the digest of the texts and of `recipe`, all that decides the encoding: equal keys, equal contexts.

    Until its memory is made, a context is ready for `evidence`: no memory and no attention keys are among its files.
    `sources` are what it is kept in step with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    key: Label
    title: Label
    created: Annotated[str, Field(max_length=MAX_NAME), AfterValidator(_check_date)]
    recipe: dict[str, Any]
    documents: Annotated[tuple[DocumentEntry, ...], Field(min_length=1)]
    chunks: Amount
    memory_tokens: Amount
    encode_seconds: Annotated[FiniteFloat, Field(ge=0)]
    ready: Ready = "memory"
    sources: tuple[Source, ...] = ()
    files: dict[FileName, FileEntry]
    seal: str = ""

    @field_validator("recipe", mode="after")
    @classmethod
    def _names_models(cls, recipe: dict[str, Any]) -> dict[str, Any]:
        """A list of contexts shows the models of each."""
        for role in ROLES:
            if not isinstance(recipe.get(role), dict) or not isinstance(recipe[role].get("model"), str):
                raise ValueError(f"names no model as {role}")
        return recipe

    def with_seal(self) -> Manifest:
        """Return a copy with the digest that `read` checks."""
        return self.model_copy(update={"seal": digest(self.model_dump(mode="json"))})

    def reads_as(self, other: Manifest) -> bool:
        """Whether both are of the same texts under the same ids, wherever these were read."""
        return self.key == other.key and [one.id for one in self.documents] == [one.id for one in other.documents]

    def with_places_of(self, other: Manifest) -> Manifest:
        """Return a copy that tells where its documents are from as another does that reads as this."""
        return self.model_copy(update={"documents": other.documents, "sources": other.sources})

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of a context's folder.

        Raises:
            IncompatibleContext: of a format version this program does not know.
            DamagedContext: missing, unreadable or not a manifest.
        """
        record = _read_record(folder)
        try:
            manifest = cls.model_validate(record)
        except ValidationError as error:
            first = error.errors()[0]
            what = quote_name(".".join(map(str, first["loc"][:3])))
            raise damage(folder, f"{MANIFEST} is not valid ({what}: {quote_name(first['msg'])})") from error
        if manifest.seal != digest(record):
            raise damage(folder, f"{MANIFEST} does not match its own checksum")
        for document in manifest.documents:
            if document.file not in manifest.files or not document.file.startswith(f"{DOCUMENTS}/"):
                raise damage(folder, f"the text {quote_name(document.file)} is not listed among its files")
            for kept in filter(None, (document.original, document.words)):
                if kept not in manifest.files or not kept.startswith(f"{ORIGINALS}/"):
                    raise damage(folder, f"the file {quote_name(kept)} is not listed among its files")
        return manifest

    def check_sizes(self, folder: Path) -> None:
        """Look for missing, truncated and changed files, and what should not be there.

        The manifest is written last, so a file is read only where it was changed after that.

        Raises:
            DamagedContext: names the first.
        """
        found: dict[str, os.stat_result] = {}
        for name, status in _plain_files(folder):
            if name not in self.files:
                raise damage(folder, f"{quote_name(name)} is not listed among its files")
            found[name] = status
        sealed = _last_change(folder)
        for name, entry in self.files.items():
            if name not in found:
                raise damage(folder, f"{quote_name(name)} is missing")
            intact = found[name].st_size == entry.bytes
            if not intact or (found[name].st_mtime_ns > sealed and not _is_intact(folder / name, found[name], entry)):
                raise damage(folder, f"{quote_name(name)} does not match its checksum")

    def verify(self, folder: Path, below: str = "") -> None:
        """Compare every file, or those whose names start with `below`, with their recorded size and checksum.

        Raises:
            DamagedContext: names the first file that is missing or differs.
        """
        self.check_sizes(folder)
        for name, entry in self.files.items():
            if not name.startswith(below):
                continue
            try:
                intact = sha256_of(folder / name) == entry.sha256
            except OSError as error:
                raise damage(folder, f"{quote_name(name)} cannot be read ({error.strerror})") from error
            if not intact:
                raise damage(folder, f"{quote_name(name)} does not match its checksum")


def _read_record(folder: Path) -> dict[str, Any]:
    """Read the manifest's JSON, of the format version that this program knows."""
    try:
        data = read_plain_file(folder.resolve() / MANIFEST, MAX_MANIFEST)
        if len(data) > MAX_MANIFEST:
            raise ValueError(f"it has more than {MAX_MANIFEST:,} bytes")
        record: dict[str, Any] = json.loads(data.decode())
        version = record["format_version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, NoPlainFile) as error:
        raise damage(folder, f"{MANIFEST} cannot be read ({quote_name(error)})") from error
    if not isinstance(version, int):
        raise damage(folder, f"{MANIFEST} cannot be read (its format version is no number)")
    if version != FORMAT_VERSION:
        raise IncompatibleContext(
            f"The context {quote_name(folder.name)} has format version {version}; this program reads {FORMAT_VERSION}. "
            f"Upgrade memorag-mcp, or forget {quote_name(folder.name)} and memorize it again."
        )
    return record


def _last_change(folder: Path) -> int:
    """Return when the manifest was written, in nanoseconds."""
    try:
        return (folder / MANIFEST).stat().st_mtime_ns
    except OSError as error:
        raise damage(folder, f"{MANIFEST} is missing") from error


def _is_intact(path: Path, status: os.stat_result, entry: FileEntry) -> bool:
    try:
        return _sha256_once(path, status.st_mtime_ns, status.st_size) == entry.sha256
    except OSError:
        return False


@lru_cache(maxsize=4096)
def _sha256_once(path: Path, changed: int, size: int) -> str:
    """Compute the SHA-256 of a file that was changed then, once: a copied store has many such."""
    return sha256_of(path)


def _plain_files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield names and status of all files below a folder but the manifest and hidden ones.

    Raises:
        DamagedContext: something is neither a folder nor a plain file.
    """
    folders = [folder]
    while folders:
        for path in _list(folder, folders.pop()):
            name = path.relative_to(folder).as_posix()
            try:
                status = path.lstat()
            except OSError as error:
                raise damage(folder, f"{quote_name(name)} is missing") from error
            if stat.S_ISDIR(status.st_mode):
                folders.append(path)
            elif not stat.S_ISREG(status.st_mode):
                raise damage(folder, f"{quote_name(name)} is no plain file")
            elif name != MANIFEST and not path.name.startswith("."):
                yield name, status


def _list(folder: Path, inner: Path) -> list[Path]:
    try:
        return sorted(inner.iterdir())
    except OSError as error:
        raise damage(folder, f"a folder in it cannot be listed ({error.strerror})") from error


def digest(record: dict[str, Any]) -> str:
    """Compute the SHA-256 of all fields but `seal`, as they are written: fields that came later are no damage."""
    rest = {name: value for name, value in record.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def damage(folder: Path, what: str) -> MemoRAGError:
    """Make the error for a folder that cannot be read: what is wrong and how to go on; or that it is gone."""
    name = quote_name(folder.name)
    if not folder.exists():
        return UnknownContext(f"The context {name} was forgotten a moment ago.")
    return DamagedContext(
        f"The context {name} is damaged: {what}. Its texts, where intact, are in {folder / DOCUMENTS}. "
        f"Forget {name} (memorag forget {name}) and memorize it again."
    )


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
