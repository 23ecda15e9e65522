"""Bearer tokens of those who may use a server that listens: a file of lines `name:SHA-256 of the token`.

A token is 256 random bits, so its plain hash gives nothing away. The name owns the contexts that are memorized with
the token; several lines may have one name, so that tokens can be renewed. The file is read again when it changes.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from memorag_core.config import OWNERS, Settings
from memorag_core.errors import InputError
from memorag_core.text.ids import slug

BYTES = 32
LINE = re.compile(r"([^\s:]+):([0-9a-f]{64})")


def owner_folder(store: Path, owner: str) -> Path:
    """The store of one owner's contexts, within a store; without an owner it is that store itself."""
    return store / OWNERS / f"of={owner}" if owner else store


def settings_of(settings: Settings, owner: str) -> Settings:
    """The settings of one owner's engine: its store, and its part of the bucket, where that is shared."""
    shared = f"{settings.shared}/of={owner}" if settings.shared and owner else settings.shared
    return settings.model_copy(update={"store": owner_folder(settings.store, owner), "shared": shared})


def tokens_file(store: Path, named: Path | None) -> Path:
    """The file of tokens: the one named, or the store's."""
    return named.expanduser() if named else store / OWNERS / "tokens"


class Tokens:
    """The tokens in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[object, list[tuple[str, str]]] = (None, [])

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """All that is kept or left behind by changes: the file, its draft and its lock. None of them is a document."""
        return self.path, self._beside("tmp"), self._beside("lock")

    def exist(self) -> bool:
        """Whether there is a file of tokens: each request needs one then, and of an empty file nobody has one."""
        try:
            self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True

    def entries(self) -> list[tuple[str, str]]:
        """Names and hashes.

        Raises:
            InputError: the file cannot be read, or has a line of another form.
        """
        try:
            status = self.path.stat()
            state = (status.st_mtime_ns, status.st_size, status.st_ino)
            if state != self._read[0]:
                self._read = (state, [_parse(line) for line in self.path.read_text("utf-8").split("\n") if line])
        except (FileNotFoundError, NotADirectoryError):
            self._read = (None, [])
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"The tokens in {self.path} cannot be read ({error}). Check its permissions.") from error
        return self._read[1]

    def owner(self, token: str) -> str | None:
        """Whose token it is, if anybody's. Every hash is compared, each in constant time."""
        digest = _digest(token)
        owners = [name for name, known in self.entries() if hmac.compare_digest(known, digest)]
        return owners[0] if owners else None

    def add(self, name: str) -> str:
        """A new token for a name, which is nowhere kept in the clear."""
        token = secrets.token_urlsafe(BYTES)
        with self._changing():
            self._write([*self.entries(), (slug(name), _digest(token))])
        return token

    def remove(self, name: str) -> None:
        """Take all tokens of a name away; its contexts stay.

        Raises:
            InputError: it has none.
        """
        with self._changing():
            kept = [entry for entry in self.entries() if entry[0] != slug(name)]
            if len(kept) == len(self.entries()):
                names = ", ".join(sorted({entry[0] for entry in kept})) or "nobody yet"
                raise InputError(f"'{slug(name)}' has no token. Those who have: {names}.")
            self._write(kept)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the file alone, over processes, so that of two changes at once none is lost."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._beside("lock")):
                self._read = (None, [])
                yield
        except OSError as error:
            raise InputError(
                f"The tokens in {self.path} cannot be written ({error}). Check its permissions."
            ) from error

    def _write(self, entries: list[tuple[str, str]]) -> None:
        draft = self._beside("tmp")  # one name for all processes, which hold the lock: it can be told as private
        draft.unlink(missing_ok=True)  # of a process that was killed
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(f"{name}:{digest}\n" for name, digest in entries)
        os.replace(draft, self.path)

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{ending}")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _parse(line: str) -> tuple[str, str]:
    match = LINE.fullmatch(line.strip())
    if match is None or slug(match[1]) != match[1]:
        raise InputError("A line of the file of tokens is not name:hash. Make tokens with: memorag token add NAME")
    return match[1], match[2]
