"""Failures of the disk as errors that say what to do."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from memorag_core.errors import StoreError, StoreFull

NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
LITTLE = 1 << 20


@contextmanager
def translate_errors(root: Path) -> Iterator[None]:
    """Raise failures of the operating system in a store's folder as errors that say what to do."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        if _is_full(error, root):
            raise StoreFull(
                f"No space is left for the store in {root}; nothing was kept of what was being written. "
                "Free some space, forget a context, or choose another folder with --store or MEMORAG_STORE."
            ) from error
        raise StoreError(
            f"The store in {root} cannot be used ({error}). Check its permissions, or choose another folder "
            "with --store or MEMORAG_STORE."
        ) from error


def _is_full(error: Exception, root: Path) -> bool:
    """Tell a full disk by the error's number; safetensors reports the same failure as text alone."""
    if isinstance(error, OSError):
        return error.errno in NO_SPACE
    numbers = [f"os error {number})" for number in NO_SPACE]
    return any(number in str(error) for number in numbers) or shutil.disk_usage(root).free < LITTLE
