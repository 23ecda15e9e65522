"""Open what is a plain file, where it was said to be: no link is followed, no pipe or device opened, no more read.

Between the moment a path is checked and the moment it is opened, another can put a link in its place, or in that of a
folder above it. So the way is walked again from the root by descriptors, and what was opened is looked at.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from memorag_core.errors import InputError, quote_name

SYSTEM = ("/proc", "/sys", "/dev")
"""Folders of the system in which what looks like a file is none."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108  # nothing is written there
LEADS_AWAY = {errno.ELOOP, errno.ENOTDIR}
FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
FILE = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_BINARY"))
BY_DESCRIPTOR = os.open in os.supports_dir_fd and os.stat in os.supports_dir_fd


class NoPlainFile(InputError):
    """What is there is a link, a pipe, a device, or of the system."""


def read_plain_file(real: Path, most: int) -> bytes:
    """Return the bytes of a file, at most `most` and one; `real` is absolute, and has no link in it.

    Raises:
        NoPlainFile: something else is there.
        OSError: it cannot be opened or read.
    """
    if _is_of_system(real):
        raise NoPlainFile(f"{quote_name(real)} belongs to the system and is no file that can be read. Give another.")
    try:
        descriptor = _open(real)
    except OSError as error:
        if error.errno in LEADS_AWAY:
            raise _not_plain(real) from error
        raise
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_dev in _devices_of_system():
            raise _not_plain(real)
        return file.read(min(status.st_size, most) + 1)


def is_plain_file(path: Path) -> bool:
    """Whether a plain file is there, and no link."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def _open(real: Path) -> int:
    """Open a file for reading, if need be folder by folder; it is looked at before, since opening a device can act."""
    if not BY_DESCRIPTOR:
        if not is_plain_file(real) or real.resolve() != real:
            raise _not_plain(real)
        return os.open(real, FILE)
    folder = os.open(real.anchor, FOLDER)
    try:
        for part in real.parts[1:-1]:
            inner = os.open(part, FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        if not stat.S_ISREG(os.stat(real.name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise _not_plain(real)
        return os.open(real.name, FILE, dir_fd=folder)
    finally:
        os.close(folder)


def _not_plain(real: Path) -> NoPlainFile:
    return NoPlainFile(
        f"{quote_name(real)} is no plain file (it is a link, a pipe or a device), so it is not read. Give a file."
    )


def _is_of_system(real: Path) -> bool:
    return any(real.is_relative_to(folder) for folder in SYSTEM) and not real.is_relative_to(SHARED_MEMORY)


def _devices_of_system() -> set[int]:
    """Return the devices of the system's folders, wherever else they are mounted."""
    devices = set()
    for folder in SYSTEM[:2]:
        with suppress(OSError):
            devices.add(Path(folder).stat().st_dev)
    return devices
