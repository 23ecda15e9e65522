"""Where a person's servers are found: a folder that is this person's alone, with a few files for each server."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

LONGEST_SOCKET = 100
"""Bytes of a path that every system takes for a socket."""
LARGEST_LOG = 1 << 20


@dataclass(frozen=True)
class Address:
    """Where a server listens, the path of a socket or a port of this machine, and what only its owner can read."""

    at: str | int
    secret: str
    pid: int


@dataclass(frozen=True)
class ServerFiles:
    """The files of the servers of one choice, of which one lives at a time.

    FOLDER/DIGEST.json has the address, .sock is the socket, .lock is held while one is started, .log is its log.
    """

    folder: Path
    digest: str

    @classmethod
    def of(cls, digest: str) -> ServerFiles:
        """The files of the servers that have this digest, in the person's own folder.

        Raises:
            OSError: there is no folder that is this person's alone.
        """
        folder = platformdirs.user_state_path("memorag", appauthor=False) / "servers"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name == "posix":
            status = folder.stat()
            if status.st_uid != os.getuid():
                raise PermissionError(f"{folder} belongs to somebody else")
            folder.chmod(0o700)
        return cls(folder, digest)

    @classmethod
    def at(cls, path: Path) -> ServerFiles:
        """The files of which this is the file of the address."""
        return cls(path.parent, path.stem)

    @property
    def file(self) -> Path:
        """The file that tells the address."""
        return self._named("json")

    @property
    def lock(self) -> Path:
        """Held while a server is looked for and started."""
        return self._named("lock")

    @property
    def log(self) -> Path:
        """What the server says."""
        return self._named("log")

    @property
    def socket(self) -> Path | None:
        """The socket; None where there are none, or where its path is too long for one."""
        path = self._named("sock")
        return path if os.name == "posix" and len(os.fsencode(path)) <= LONGEST_SOCKET else None

    def read(self) -> Address:
        """The address of the server.

        Raises:
            OSError: there is none.
        """
        try:
            return Address(**json.loads(self.file.read_bytes()))
        except (ValueError, TypeError) as error:
            raise FileNotFoundError(f"{self.file} tells no address") from error

    def write(self, address: Address) -> None:
        """Tell the address, to this person alone."""
        draft = self._named("tmp")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(address), file)
        os.replace(draft, self.file)

    def clear(self, address: Address) -> None:
        """Take the address away, unless another server's stands there by now."""
        try:
            if self.read() != address:
                return
        except OSError:
            return
        self.file.unlink(missing_ok=True)
        if self.socket:
            self.socket.unlink(missing_ok=True)

    def open_log(self) -> int:
        """A descriptor to append to the log; of a long one, nothing is kept."""
        long = self.log.exists() and self.log.stat().st_size > LARGEST_LOG
        return os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if long else 0), 0o600)

    def _named(self, ending: str) -> Path:
        return self.folder / f"{self.digest}.{ending}"
