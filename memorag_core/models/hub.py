"""The model hub: whether it answers, what of it is here, and loading at once where it does not.

The hub's library asks the network for every file of a model that it has already, and where there is none it tries again
and again, for half a minute a file. So it is asked once, and told to be offline where nothing answers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from memorag_core.errors import ModelUnavailable

SECONDS = 3.0
MAX_NAME = 200
CONFIGS = ("config.json", "model_config.json")
"""What a model has one of, in the first folder."""
REMEMBERED = 60
"""How long an answer of the hub holds, in seconds, at most."""

_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


def is_id(name: str) -> bool:
    """Whether a name has the form of the hub's ids; all others name folders: `./x`, `/x`, `~/x`, `x/y/z`."""
    return len(name) <= MAX_NAME and _ID.fullmatch(name) is not None


def answers() -> bool:
    """Whether the hub can be reached, by whatever proxy and address the environment names."""
    return _answers(int(time.monotonic() / REMEMBERED))


def in_cache(name: str) -> bool:
    """Whether the hub's cache holds configuration and weights of a model."""
    folder = find_cached(name)
    return folder is not None and any(path.suffix in {".safetensors", ".bin"} for path in folder.rglob("*"))


def commit(name: str) -> str:
    """The commit of a model that was loaded from the hub; nothing for what is none of its ids."""
    folder = find_cached(name)
    return folder.name if folder else ""


def has(name: str) -> bool:
    """Whether the hub answers, and has that model for us."""
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name, timeout=SECONDS)
    except Exception:  # the errors of its HTTP library change with its versions; all mean no
        return False
    return True


def find_file(source: str | Path, name: str) -> str | None:
    """Where a file of a folder or hub id is, fetched now if need be; None where there is none of that name."""
    if Path(source).is_dir():
        return str(path) if (path := Path(source, name)).is_file() else None
    from transformers.utils.hub import cached_file

    with offline_unless_it_answers(source):
        found: str | None = cached_file(
            str(source),
            name,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    return found


@contextmanager
def offline_unless_it_answers(source: str | Path) -> Iterator[None]:
    """Models inside come from the hub's cache alone where the hub does not answer; a folder needs no hub."""
    if Path(source).is_dir():
        yield
        return
    from huggingface_hub import constants

    if answers():
        yield
        return
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextmanager
def loading(source: str | Path) -> Iterator[None]:
    """A failure to load a model inside becomes `ModelUnavailable`: why, and how to get it."""
    try:
        with offline_unless_it_answers(source):
            yield
    except (OSError, ValueError) as error:
        raise ModelUnavailable(
            f"The model '{source}' could not be loaded ({str(error).splitlines()[0]}). Give a folder that holds it, "
            f"or, on a machine with access to the hub, run once: hf download {source}"
        ) from error


@lru_cache(maxsize=1)
def _answers(moment: int) -> bool:
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=SECONDS)
    except Exception:  # as in `has`
        return False
    return True


def find_cached(name: str) -> Path | None:
    """The folder of a model's newest commit in the hub's cache."""
    if not is_id(name):
        return None
    try:
        from huggingface_hub import try_to_load_from_cache

        found = [try_to_load_from_cache(name, config) for config in CONFIGS]
    except (ImportError, ValueError):  # no hub, or not the form of a hub id
        return None
    return next((Path(config).parent for config in found if isinstance(config, str)), None)
