"""Where compiled models are kept: a folder for each in that of the models, made once, by whoever needs it first."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

FOLDER = "compiled"


def compile_once(folder: Path, write: Callable[[Path], None]) -> Path:
    """The folder of a compiled model; if it is not there yet, `write` fills a new one, all or nothing.

    Its name is a digest of all that decides what is written.
    """
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not folder.is_dir():
                with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".draft-") as draft:
                    made = Path(draft, "made")
                    made.mkdir()
                    write(made)
                    made.replace(folder)
    return folder
