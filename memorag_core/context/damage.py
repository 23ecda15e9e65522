"""What may be wrong with the files of a context's folder: missing, altered, or something else than plain files."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from memorag_core.config import DOCUMENTS, MANIFEST
from memorag_core.errors import DamagedContext, MemoRAGError, UnknownContext, quote_name


def list_plain_files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield names and status of all files below a folder but the manifest and hidden ones.

    Raises:
        DamagedContext: something is neither a folder nor a plain file.
    """
    folders = [""]
    while folders:
        above = folders.pop()
        for own in _list(folder, above):
            name = f"{above}{own}"
            try:
                status = os.lstat(f"{folder}/{name}")
            except OSError as error:
                raise damage(folder, f"{quote_name(name)} is missing") from error
            if stat.S_ISDIR(status.st_mode):
                folders.append(f"{name}/")
            elif not stat.S_ISREG(status.st_mode):
                raise damage(folder, f"{quote_name(name)} is no plain file")
            elif name != MANIFEST and not own.startswith("."):
                yield name, status


def _list(folder: Path, above: str) -> list[str]:
    try:
        return sorted(os.listdir(folder / above))  # noqa: PTH208  # a context may have thousands
    except OSError as error:
        raise damage(folder, f"a folder in it cannot be listed ({error.strerror})") from error


@contextmanager
def reading(folder: Path, name: str) -> Iterator[None]:
    """Tell of a file that cannot be read inside as damage."""
    try:
        yield
    except OSError as error:
        raise damage(folder, f"{quote_name(name)} cannot be read ({error.strerror})") from error


def last_change(folder: Path) -> int:
    """Return when the manifest was written, in nanoseconds."""
    try:
        return (folder / MANIFEST).stat().st_mtime_ns
    except OSError as error:
        raise damage(folder, f"{MANIFEST} is missing") from error


def is_intact(path: Path, status: os.stat_result, sha256: str) -> bool:
    """Whether a file can be read and has that checksum."""
    try:
        return _sha256_once(path, status.st_mtime_ns, status.st_size) == sha256
    except OSError:
        return False


@lru_cache(maxsize=4096)
def _sha256_once(path: Path, changed: int, size: int) -> str:
    """Compute the SHA-256 of a file that was changed then, once: a copied store has many such."""
    return sha256_of(path)


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
