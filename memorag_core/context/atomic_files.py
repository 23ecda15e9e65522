"""Write and replace folders without damage: seal, flush to disk, hard-link, exchange by renames."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from memorag_core.config import MANIFEST
from memorag_core.context.manifest import FileEntry, Manifest, sha256_of


def seal(draft: Path, manifest: Manifest) -> Manifest:
    """Record every file's size and checksum, then write the manifest last; all of it flushed to the disk.

    A hard link is one of a sealed folder's files, which were flushed when that was.
    """
    paths = [path for path in sorted(draft.rglob("*")) if path.is_file()]
    entries = {p.relative_to(draft).as_posix(): FileEntry(bytes=p.stat().st_size, sha256=sha256_of(p)) for p in paths}
    sealed = manifest.model_copy(update={"files": entries}).with_seal()
    (draft / MANIFEST).write_text(sealed.model_dump_json(indent=2), encoding="utf-8")
    new = (path for path in paths if path.stat().st_nlink == 1)
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


def share_equal(draft: Path, place: Path, manifest: Manifest) -> None:
    """Make of the files of a draft that a sealed folder has too hard links to those, where the disk can."""
    for name, entry in manifest.files.items():
        twin = draft / name
        if twin.is_file() and twin.stat().st_nlink == 1 and sha256_of(twin) == entry.sha256:
            spare = twin.with_name(f"{twin.name}+")
            with suppress(OSError):
                os.link(place / name, spare)
                os.replace(spare, twin)


def link_tree(source: Path, target: Path) -> None:
    """Hard-link all files of a folder into a new one; copy them on a disk without hard links."""
    target.mkdir()
    for path in sorted(source.rglob("*")):
        twin = target / path.relative_to(source)
        if path.is_dir():
            twin.mkdir()
            continue
        try:
            os.link(path, twin)
        except OSError:
            shutil.copy2(path, twin)


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
