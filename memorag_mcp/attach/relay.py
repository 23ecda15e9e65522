"""The process that a host starts: it passes lines between the host and the server of all hosts, and nothing else.

Where the server dies, the next one is told how the session began, and the host notices a pause.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, NoReturn

from memorag_mcp.attach.session import Session, says
from memorag_mcp.attach.start import Connection

ATTEMPTS = 3
SECONDS_TO_FINISH = 10.0
INTERRUPTED = 130
LOST = (
    "The memorag server ended while it worked on this, and is started again. Ask again. Where memorizing was "
    "interrupted, list_contexts shows it, and resume_memorize does it again."
)


class Relay:
    """Two directions, each read by a thread: the host's lines by the one that calls `run`."""

    def __init__(self, connection: Connection, attach: Callable[[], Connection], to_host: IO[bytes]) -> None:
        """Take a connection, how to get another one when it ends, and where the host reads."""
        self._attach = attach
        self._to_host = to_host
        self._session = Session()
        self._changed = threading.Condition()
        self._connection: Connection | None = connection
        self._finished = False

    def run(self, from_host: IO[bytes]) -> None:
        """Relay until the host says no more; then the server's last words are passed on."""
        reader = threading.Thread(target=self._pass_replies, args=(self._connection,), daemon=True)
        reader.start()
        for line in from_host:
            self._pass_on(line)
        with self._changed:
            self._finished = True
            if self._connection:
                self._connection.finish()
        reader.join(SECONDS_TO_FINISH)

    def _pass_on(self, line: bytes) -> None:
        while connection := self._connection_for(line):
            if connection.send(line):
                return
            with self._changed:
                if self._connection is connection:
                    self._connection = None
                if not self._session.take_back(line):
                    return

    def _connection_for(self, line: bytes) -> Connection | None:
        """The server that is to hear this, once there is one; None where none is to."""
        with self._changed:
            self._changed.wait_for(lambda: self._connection)
            return self._connection if self._session.note_sent(line) else None

    def _pass_replies(self, connection: Connection | None) -> None:
        while connection:
            with suppress(OSError):
                for line in connection.reader:
                    self._hear(line)
            connection.close()
            connection = self._go_on()

    def _hear(self, line: bytes) -> None:
        with self._changed:
            heard = self._session.note_received(line)
        if heard:
            self._tell([line])

    def _tell(self, lines: list[bytes]) -> None:
        try:
            self._to_host.writelines(lines)
            self._to_host.flush()
        except OSError:  # the host has gone
            os._exit(0)

    def _go_on(self) -> Connection | None:
        """Attach again, in the middle of the session; None where the host has nothing more to say."""
        with self._changed:
            self._connection = None
            errors = self._session.fail(LOST)
            if self._finished:
                return None
        say("the server has ended; attaching again")
        self._tell(errors)
        for _ in range(ATTEMPTS):
            try:
                connection = self._attach()
            except Exception as error:  # whatever it is: a thread that ends would leave the host waiting
                say(str(error))
                os._exit(1)
            if self._begin_again(connection):
                return connection
            connection.close()
        say("the server ends whenever this session begins again")
        os._exit(1)

    def _begin_again(self, connection: Connection) -> bool:
        """Tell the server how the session began, one reply after the other; whether it heard all of it."""
        with self._changed:
            lines = self._session.begin_again()
        for line in lines:
            connection.send(line)
            if says(line, "initialize"):
                first = connection.reader.readline()
                if not first:
                    return False
                self._hear(first)
        with self._changed:
            self._connection = connection
            self._changed.notify_all()
            if self._finished:
                connection.finish()
        return True


def relay(connection: Connection, attach: Callable[[], Connection]) -> NoReturn:
    """Relay standard input and output, then end the process."""
    try:
        Relay(connection, attach, sys.stdout.buffer).run(sys.stdin.buffer)
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)
    os._exit(0)  # a thread may still wait for the server


def say(text: str) -> None:
    """To standard error, which hosts keep as the server's log."""
    with suppress(OSError):
        sys.stderr.write(f"memorag: {text}\n")
        sys.stderr.flush()
