"""Find the server of a choice, or start it: of many hosts at once, one starts it and all attach."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from memorag_mcp.attach import greeting
from memorag_mcp.attach.choice import Choice
from memorag_mcp.attach.files import Address, ServerFiles

LOOPBACK = "127.0.0.1"
SECONDS_TO_GREET = 60.0
SECONDS_TO_START = 180.0
READY = b"ready\n"
SAID = 2000


class NotStarted(Exception):
    """The server could not be started; the message has what it said last."""


class Connection:
    """A line to a server that greeted us."""

    def __init__(self, line: socket.socket, reader: IO[bytes], pid: int) -> None:
        self._line = line
        self.reader = reader
        self.pid = pid

    def send(self, data: bytes) -> bool:
        """Pass on; whether the server had not ended before."""
        try:
            self._line.sendall(data)
        except OSError:
            return False
        return True

    def finish(self) -> None:
        """Say that nothing more comes."""
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Hang up."""
        self.reader.close()
        self._line.close()


def attach(choice: Choice) -> Connection:
    """Attach to the server of this choice, which is started where there is none.

    Raises:
        NotStarted: it cannot be started.
        OSError: nor can anything be written where it would be found.
    """
    files = ServerFiles.of(choice.digest())
    hello = greeting.Hello(os.getcwd(), choice.allow)  # noqa: PTH109  # as a text
    with suppress(OSError):
        return connect(files.read(), hello)
    from filelock import FileLock, Timeout

    try:
        with FileLock(files.lock, timeout=SECONDS_TO_START):
            with suppress(OSError):
                return connect(files.read(), hello)
            _start(choice, files)
            return connect(files.read(), hello)
    except Timeout as error:
        raise NotStarted(f"Another process has been starting the server for {SECONDS_TO_START:.0f} s.") from error


def connect(address: Address, hello: greeting.Hello) -> Connection:
    """A connection to a server, once both have proved that they know the secret. Raises an `OSError` without."""
    where: str | tuple[str, int] = address.at if isinstance(address.at, str) else (LOOPBACK, address.at)
    line = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET)
    try:
        line.settimeout(SECONDS_TO_GREET)
        line.connect(where)
        reader = line.makefile("rb")
        introduced = greeting.introduce(address.secret, reader.readline(), hello)
        line.sendall(introduced)
        greeting.check_welcome(address.secret, introduced, reader.readline())
        line.settimeout(None)
    except BaseException:
        line.close()
        raise
    return Connection(line, reader, address.pid)


def _start(choice: Choice, files: ServerFiles) -> None:
    """Start the server, apart from us: it lives on when we end. Return once it listens."""
    from memorag_core.concurrency.processes import launch_ours, start_apart

    launch = launch_ours("memorag_mcp.__main__", "serve_hosts", [str(files.file), *choice.arguments], secrets=True)
    environment = {name: choice.environment[name] for name in launch.environment if name in choice.environment}
    launch = replace(launch, environment=environment)
    log = files.open_log()
    before = os.fstat(log).st_size
    try:
        process = start_apart(launch, log)
    finally:
        os.close(log)
    assert process.stdout is not None
    if _first_line(process.stdout) != READY:
        process.kill()
        raise NotStarted(_last_words(files.log, before))
    process.stdout.close()
    if os.name == "posix":
        process.wait()  # it has left a child, the server, and ended


def _first_line(pipe: IO[bytes]) -> bytes:
    """What is said first; nothing where it ends or is silent."""
    said: list[bytes] = []
    reader = threading.Thread(target=lambda: said.append(pipe.readline()), daemon=True)
    reader.start()
    reader.join(SECONDS_TO_START)
    return said[0] if said else b""


def _last_words(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        said = file.read()[-SAID:].decode("utf-8", "replace").strip()
    return said or f"The server ended before it listened; {log} may tell why."
