"""Write and replace folders without damage: seal, flush to disk, hard-link, exchange by renames."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from memorag_core.config import MANIFEST
from memorag_core.context.damage import list_plain_files, sha256_of
from memorag_core.context.manifest import FileEntry, Manifest

NOTHING_LINKED: Mapping[str, FileEntry] = MappingProxyType({})


def seal(draft: Path, manifest: Manifest, linked: Mapping[str, FileEntry] = NOTHING_LINKED) -> Manifest:
    """Record every file's size and checksum, then write the manifest last; all of it flushed to the disk.

    Args:
        linked: files of a sealed folder that were linked into the draft, with what that folder's manifest says of them.
            They were flushed when that was sealed; one that is no link any more, or was a copy, is as new.
    """
    entries, new = dict[str, FileEntry](), list[Path]()
    for name, status in list_plain_files(draft):
        held = linked.get(name) if status.st_nlink > 1 else None
        if held is None:
            new.append(draft / name)
        entries[name] = held or FileEntry(bytes=status.st_size, sha256=sha256_of(draft / name))
    sealed = manifest.model_copy(update={"files": dict(sorted(entries.items()))}).with_seal()
    (draft / MANIFEST).write_text(sealed.model_dump_json(indent=2), encoding="utf-8")
    for path in (*new, draft / MANIFEST, *(p for p in draft.rglob("*") if p.is_dir()), draft):
        flush(path)
    return sealed


def replace_manifest(folder: Path, manifest: Manifest, draft: Path) -> None:
    """Put another manifest of the same files in the place of a folder's, in one rename; it is written as `draft`."""
    draft.write_text(manifest.with_seal().model_dump_json(indent=2), encoding="utf-8")
    flush(draft)
    os.replace(draft, folder / MANIFEST)
    flush(folder)


def flush(path: Path) -> None:
    """fsync a file or, where the system can, a folder."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def link_files(source: Path, target: Path, names: Iterable[str]) -> None:
    """Hard-link files of a folder into another, where the disk can."""
    for folder in {(target / name).parent for name in names}:
        folder.mkdir(exist_ok=True)
    with suppress(OSError):
        for name in names:
            os.link(f"{source}/{name}", f"{target}/{name}")


def link_tree(source: Path, target: Path) -> None:
    """Hard-link all files of a folder into a new one; copy them on a disk without hard links."""
    for folder, _, names in os.walk(source):
        twin = target / Path(folder).relative_to(source)
        twin.mkdir()
        for name in names:
            try:
                os.link(f"{folder}/{name}", f"{twin}/{name}")
            except OSError:
                shutil.copy2(f"{folder}/{name}", f"{twin}/{name}")


def replace_folder(place: Path, new: Path, aside: Path) -> None:
    """Put a folder where another one is, in two renames; the other is gone afterwards, or waits where it was set aside.

    No system does it in one. Killed in between, `recover` restores the other; failing, this does.
    """
    os.replace(place, aside)
    try:
        os.replace(new, place)
    except OSError:
        os.replace(aside, place)
        raise
    flush(place.parent)
    flush(aside.parent)
    shutil.rmtree(aside, ignore_errors=True)


def recover(aside: Path, place: Path) -> None:
    """Put back what a killed `replace_folder` had set aside if its place is empty, else delete it."""
    if place.exists():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        os.replace(aside, place)
