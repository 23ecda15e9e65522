"""A manifest describes a stored context: `manifest.json`, with its format version and checksums.

A folder may have been made by somebody else, seal and all. So every field is checked, names lead nowhere but to files
below the folder, and what is not listed, or is no plain file, is damage.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Container
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, field_validator

from memorag_core.config import DOCUMENTS, MANIFEST, MAX_LABEL, ORIGINALS
from memorag_core.context.damage import damage, is_intact, last_change, list_plain_files, reading, sha256_of
from memorag_core.errors import IncompatibleContext, quote_name
from memorag_core.ingest.plain_file import NoPlainFile, read_plain_file
from memorag_core.types import Origin, Ready, Source

FORMAT_VERSION = 1
MAX_MANIFEST = 64 << 20
MAX_NAME = 1024
PARSED = 8
"""Manifests that are kept as parsed: a large one takes a tenth of a second, and a change reads it fifteen times."""
ROLES = ("memory", "embedder")

_SHA256 = r"^[0-9a-f]{64}$"
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\]|(?<![^/])\.{0,2}(?![^/])")
"""Controls, backslashes, and parts of a path that are empty or lead elsewhere."""


def _check_name(name: str) -> str:
    """Refuse the name of a file that is not plainly below the folder."""
    if _UNFIT.search(name):
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

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all the files that hold it."""
        return tuple(filter(None, (self.file, self.original, self.words)))


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

    @property
    def chunking(self) -> str:
        """How it was chunked, as `text/standing.py` knows it; nothing in the oldest contexts."""
        return str(self.recipe.get("chunking", ""))

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
        try:
            data = read_plain_file(folder.resolve() / MANIFEST, MAX_MANIFEST)
        except (OSError, NoPlainFile) as error:
            raise damage(folder, f"{MANIFEST} cannot be read ({quote_name(error)})") from error
        return parse_manifest(folder, data)

    def check_sizes(self, folder: Path) -> Manifest:
        """Return this, after a look for missing, truncated and changed files, and what should not be there.

        The manifest is written last, so a file is read only where it was changed after that.

        Raises:
            DamagedContext: names the first.
        """
        found: dict[str, os.stat_result] = {}
        for name, status in list_plain_files(folder):
            if name not in self.files:
                raise damage(folder, f"{quote_name(name)} is not listed among its files")
            found[name] = status
        sealed = last_change(folder)
        for name, entry in self.files.items():
            if name not in found:
                raise damage(folder, f"{quote_name(name)} is missing")
            status, is_touched = found[name], found[name].st_mtime_ns > sealed
            if status.st_size != entry.bytes or (is_touched and not is_intact(folder / name, status, entry.sha256)):
                raise damage(folder, f"{quote_name(name)} does not match its checksum")
        return self

    def verify(self, folder: Path, read_later: Container[str] = ()) -> None:
        """Compare every file with its recorded size and checksum, but those that `read_file` is going to read.

        Raises:
            DamagedContext: names the first file that is missing or differs.
        """
        self.check_sizes(folder)
        for name in self.files:
            if name not in read_later:
                with reading(folder, name):
                    self._check(folder, name, sha256_of(folder / name))

    def read_file(self, folder: Path, name: str) -> bytes:
        """Read a file and compare it with its recorded checksum. Raises as `verify`."""
        with reading(folder, name), open(f"{folder}/{name}", "rb") as file:  # noqa: PTH123  # there may be thousands
            data = file.read()
        self._check(folder, name, hashlib.sha256(data).hexdigest())
        return data

    def _check(self, folder: Path, name: str, sha256: str) -> None:
        if sha256 != self.files[name].sha256:
            raise damage(folder, f"{quote_name(name)} does not match its checksum")


@lru_cache(maxsize=PARSED)
def parse_manifest(folder: Path, data: bytes) -> Manifest:
    """Check the bytes of a folder's manifest, field by field; the same bytes once."""
    record = _parse_record(folder, data)
    try:
        manifest = Manifest.model_validate(record)
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


def _parse_record(folder: Path, data: bytes) -> dict[str, Any]:
    """Parse the manifest's JSON, of the format version that this program knows."""
    try:
        if len(data) > MAX_MANIFEST:
            raise ValueError(f"it has more than {MAX_MANIFEST:,} bytes")
        record: dict[str, Any] = json.loads(data.decode())
        version = record["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise damage(folder, f"{MANIFEST} cannot be read ({quote_name(error)})") from error
    if not isinstance(version, int):
        raise damage(folder, f"{MANIFEST} cannot be read (its format version is no number)")
    if version != FORMAT_VERSION:
        raise IncompatibleContext(
            f"The context {quote_name(folder.name)} has format version {version}; this program reads {FORMAT_VERSION}. "
            f"Upgrade memorag-mcp, or forget {quote_name(folder.name)} and memorize it again."
        )
    return record


def digest(record: dict[str, Any]) -> str:
    """Compute the SHA-256 of all fields but `seal`, as they are written: fields that came later are no damage."""
    rest = {name: value for name, value in record.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
