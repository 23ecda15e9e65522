"""Every error that memorag raises on purpose. A message says what happened and what to do next.

MemoRAGError
├── InputError              what the caller gave cannot be used: empty, binary, too large, out of range
│   ├── UnknownContext      no context of that id is in the store
│   ├── ContextExists       the name is taken by a context with other contents
│   └── MemoryNotReady      the context can be searched, but its memory is not made yet
├── StoreError              the store on disk cannot do what was asked
│   ├── DamagedContext      a file is missing or is not what the manifest says it is
│   ├── IncompatibleContext written by another format version, or by other models than those in use
│   └── StoreFull           no space left on the device
├── ModelUnavailable        weights that cannot be found, fetched or loaded
│   └── MissingExtra        an optional package is needed; the message names the extra to install
├── DeviceMemoryFull        the memory of the device that models run on is not enough, even in the smallest batch
├── GenerationError         a generator gave no answer (an API refused, timed out, or broke off)
├── EmbeddingError          an embedder behind an API gave no vectors, or others than before
└── Busy                    too many wait for the models; tells the position in the queue

Cancelled                   the caller stopped the work; nothing was kept of what was not done. It stands apart, so
│                           that nobody who handles what went wrong takes it for that
└── Interrupted             the process ends: what is done of the work is kept, and it goes on when it is begun again
"""

from __future__ import annotations

import importlib
import re
from types import ModuleType

_PLAIN = re.compile(r"(?=.*[./\\])[\w./\\:=~+-]{1,200}", re.ASCII)
LONGEST_NAME = 200


def quote_name(name: object) -> str:
    """Return what somebody else wrote, for a message: in quotes unless it is a plain path, and cut.

    So nobody takes it for our words, and what turns a line or is not seen is an escape. Of a long one the end stays.
    """
    text = str(name)
    if _PLAIN.fullmatch(text):
        return text
    return repr(text if len(text) <= LONGEST_NAME else f"…{text[-LONGEST_NAME:]}")


class MemoRAGError(Exception):
    """Base of all errors below but `Cancelled` and `Interrupted`."""


class InputError(MemoRAGError):
    """What the caller gave cannot be used."""


class UnknownContext(InputError):
    """No context of that id is in the store."""


class ContextExists(InputError):
    """The name is taken by a context with other contents."""


class MemoryNotReady(InputError):
    """The context can be searched; what was asked needs its memory, which is not made yet."""


class StoreError(MemoRAGError):
    """The store on disk cannot do what was asked."""


class DamagedContext(StoreError):
    """A file of a context is missing or is not what its manifest says."""


class IncompatibleContext(StoreError):
    """The context was written by another format version or by other models."""


class StoreFull(StoreError):
    """No space left on the device that holds the store."""


class ModelUnavailable(MemoRAGError):
    """Weights that cannot be found, fetched or loaded."""


class MissingExtra(ModelUnavailable):
    """An optional package is needed."""


class DeviceMemoryFull(MemoRAGError):
    """The memory of the device that models run on is not enough."""


class GenerationError(MemoRAGError):
    """A generator gave no answer."""


class EmbeddingError(MemoRAGError):
    """An embedder behind an API gave no vectors that can be used."""


class Busy(MemoRAGError):
    """Too many wait for the models; nothing was done."""


class Cancelled(Exception):  # nothing went wrong
    """The caller stopped the work; nothing was kept."""


class Interrupted(Cancelled):
    """The work was stopped to go on later; what is done of it is kept."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional `module`, or raise `MissingExtra` naming the `extra` that brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise MissingExtra(
            f"The package '{module}' is needed for this and is not installed. "
            f'Install it with: pip install "memorag-mcp[{extra}]"'
        ) from error
