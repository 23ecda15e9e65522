"""Where compiled models are kept: a folder for each in that of the models, made once, by whoever needs it first."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FOLDER, TOKENIZER = "compiled", "tokenizer.json"
T = TypeVar("T")


def open_kept(folder: Path, open_folder: Callable[[Path], T]) -> T | None:
    """What `open_folder` makes of a model that was compiled before; None where there is none, or none any more.

    One that cannot be opened is damaged, and is removed, to be compiled again.
    """
    if not folder.is_dir():
        return None
    try:
        return open_folder(folder)
    except Exception:  # each library raises its own
        shutil.rmtree(folder, ignore_errors=True)
        return None


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


def open_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in a folder, which neither fills up nor cuts."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
