"""Hears when files change, and waits until they are written whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from memorag_core.errors import InputError
from memorag_core.types import Source

PAUSE = 2.0
"""Seconds without a change after which what changed is taken to be written whole."""
MOST = 30 * PAUSE
"""Seconds after which what changes without a pause is looked at all the same."""


def watch_sources(
    sources: Sequence[Source], look: Callable[[], None], pause: float = PAUSE, stop: threading.Event | None = None
) -> None:
    """Call `look` once the files of sources are watched, and whenever they have changed and rest again; until `stop`.

    Raises:
        InputError: none of them is a file or folder of this machine.
    """
    from watchfiles import watch

    there = [path for path in (Path(source.path) for source in sources) if path.exists()]
    if not there:
        raise InputError("The context was read from nothing that can be watched; files and folders can.")
    files = {str(path) for path in there if path.is_file()}
    folders = [path for path in there if path.is_dir()]
    milliseconds = int(pause * 1000)

    def is_meant(_: object, path: str) -> bool:
        return path in files or any(Path(path).is_relative_to(folder) for folder in folders)

    changes = watch(
        *folders,
        *{Path(file).parent for file in files},  # an editor puts another file in the place of the one it had
        watch_filter=is_meant,
        step=milliseconds,
        debounce=max(int(MOST * 1000), milliseconds),
        rust_timeout=milliseconds,
        yield_on_timeout=True,
        recursive=bool(folders),
        ignore_permission_denied=True,
        stop_event=stop,
    )
    is_first = True
    for changed in changes:
        if changed or is_first:  # what changed before the watch began is heard of by nobody
            look()
        is_first = False
