"""Files of formats that a hostile hand can make explode are read in a process of their own.

It can be stopped within a page, has so much memory and time and no more, and takes nobody with it when it crashes.
One process serves all the files of a folder: it hears a request a line and answers each with a line, both JSON.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from memorag_core.concurrency.cancellation import poll_until
from memorag_core.errors import InputError
from memorag_core.ingest.extract import Extract
from memorag_core.ingest.formats import format_of

MAX_SECONDS = 300.0
MAX_MEMORY = 2 << 30
COMMAND = [sys.executable, "-P", "-c", "from memorag_core.ingest.sandbox import answer_requests as a; a()"]


@dataclass
class _Process:
    """A running reader. `answers` gets each line it says, and None when it says no more."""

    process: subprocess.Popen[str]
    answers: queue.Queue[str | None]
    listener: threading.Thread

    def end(self) -> None:
        """End it, whatever it is doing."""
        self.process.kill()
        self.listener.join()
        with suppress(OSError), self.process:  # closing its input sends what it did not live to read
            pass


class SandboxedReader:
    """Reads files in another process, which starts with the first of them and ends with the `with` block."""

    def __init__(self, seconds: float = MAX_SECONDS, memory: int = MAX_MEMORY) -> None:
        """Take the most seconds for one file, and the most bytes of memory."""
        self._seconds, self._memory = seconds, memory
        self._reader: _Process | None = None

    def __enter__(self) -> SandboxedReader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._reader is not None:
            self._reader.end()
            self._reader = None

    def read(self, file: Path, suffix: str, what: str, limit: int) -> Extract:
        """What a file holds; `suffix` is that of its format, `what` its name in messages.

        Raises:
            InputError: it cannot be read, or took more time or memory than a sound file does.
        """
        self._reader = self._reader or _start()
        request = {"file": str(file), "suffix": suffix, "what": what, "limit": limit}
        answer = self._answer(self._reader, json.dumps(request), what)
        if "error" in answer:
            raise InputError(answer["error"])
        return Extract(**answer | {"pages": tuple(answer["pages"])})

    def _answer(self, reader: _Process, request: str, what: str) -> dict[str, Any]:
        said: list[str | None] = []
        deadline = time.monotonic() + self._seconds

        def heard(seconds: float) -> bool:
            try:
                said.append(reader.answers.get(timeout=seconds))
            except queue.Empty:
                self._check_limits(reader.process.pid, deadline, what)
            return bool(said)

        try:
            _send(reader.process.stdin, request)
        except OSError:
            said.append(None)
        else:
            poll_until(heard)
        if said[0] is None:
            raise InputError(f"{what} made its reader crash, so it is damaged or hostile. Convert it to plain text.")
        answer: dict[str, Any] = json.loads(said[0])
        return answer

    def _check_limits(self, pid: int, deadline: float, what: str) -> None:
        advice = "It is damaged or made to do harm, or far too large: split it, or convert it to plain text."
        if time.monotonic() > deadline:
            raise InputError(f"{what} could not be read within {self._seconds:g} seconds. {advice}")
        import psutil  # here, since it costs the start a hundredth of a second

        try:
            used = psutil.Process(pid).memory_info().rss
        except psutil.Error:
            return  # it ended, which is heard next
        if used > self._memory:
            raise InputError(f"{what} needs more than {self._memory >> 20:,} MiB of memory to read. {advice}")


def answer_requests() -> None:
    """What the other process does: read files as it is told, until nobody asks."""
    answers, sys.stdout = sys.stdout, sys.stderr  # a library may print
    for line in sys.stdin:
        answers.write(json.dumps(_answer_request(**json.loads(line))) + "\n")
        answers.flush()


def _answer_request(file: str, suffix: str, what: str, limit: int) -> dict[str, Any]:
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        return {"error": f"{what} cannot be read ({error.strerror or error}). Check its permissions."}
    try:
        return asdict(format_of(suffix).read(data, what, limit))
    except InputError as error:
        return {"error": str(error)}
    except Exception as error:  # whatever its library makes of a damaged file
        kind, why = suffix.lstrip(".").upper(), str(error)[:200] or type(error).__name__
        return {"error": f"{what} cannot be read as {kind} ({why}). It may be damaged: open it and save it anew."}


def _start() -> _Process:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)), "PYTHONUTF8": "1"}
    process = subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        encoding="utf-8",
    )
    answers: queue.Queue[str | None] = queue.Queue()
    listener = threading.Thread(target=_listen, args=(process.stdout, answers), daemon=True)
    listener.start()
    return _Process(process, answers, listener)


def _listen(lines: IO[str] | None, answers: queue.Queue[str | None]) -> None:
    for line in lines or ():
        answers.put(line)
    answers.put(None)


def _send(to: IO[str] | None, line: str) -> None:
    assert to is not None
    to.write(line + "\n")
    to.flush()
