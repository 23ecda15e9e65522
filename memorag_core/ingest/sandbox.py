"""Files of formats that a hostile hand can make explode are read in a process of their own.

It can be stopped within a page, has so much memory and time and no more, and takes nobody with it when it crashes.
One process serves all the files of a folder: it hears a request, a line of JSON and the bytes of the file, and answers
with a line of JSON. It opens nothing itself, and of our environment it has what Python needs. Long files have several.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import asdict, dataclass
from functools import partial
from typing import IO, Any

from memorag_core.concurrency import processes
from memorag_core.concurrency.cancellation import poll_until
from memorag_core.errors import InputError
from memorag_core.ingest.extract import STEPS, Extract
from memorag_core.ingest.formats import format_of
from memorag_core.ingest.page_view import measure_pages, show_page
from memorag_core.types import OnStep, ignore_steps

MAX_SECONDS = 300.0
MAX_MEMORY = 2 << 30
LONG = 128 << 10
"""Bytes of a file that is read by several processes, which take half a second to start."""
MOST_PARTS = 4
TASKS: dict[str, Callable[[bytes, str, dict[str, Any]], dict[str, Any]]] = {
    "read": lambda data, what, options: asdict(format_of(options["suffix"]).read(data, what, options["limit"])),
    "read part": lambda data, what, options: _read_part(data, what, **options),
    "show": lambda data, _, options: show_page(data, **options),
    "measure": lambda data, _, options: measure_pages(data),
}


@dataclass
class _Process:
    """A running reader. `answers` gets each line it says, and None when it says no more."""

    process: subprocess.Popen[bytes]
    answers: queue.Queue[bytes | None]
    listener: threading.Thread

    def end(self) -> None:
        """End it, whatever it is doing."""
        self.process.kill()
        self.listener.join()
        with suppress(OSError), self.process:  # closing its input sends what it did not live to read
            pass


class SandboxedReader:
    """Reads files in another process, which starts with the first of them and ends with the `with` block."""

    def __init__(self, seconds: float = MAX_SECONDS, memory: int = MAX_MEMORY, on_step: OnStep = ignore_steps) -> None:
        """Take the most seconds for a file, or for a page that is told as a step, and the most bytes of memory."""
        self._seconds, self._memory, self._on_step = seconds, memory, on_step
        self._reader: _Process | None = None

    def __enter__(self) -> SandboxedReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if there is one; the next file starts another."""
        if self._reader is not None:
            self._reader.end()
            self._reader = None

    def read(self, data: bytes, suffix: str, what: str, limit: int) -> Extract:
        """What a file of these bytes holds; `suffix` is that of its format, `what` its name in messages.

        Raises:
            InputError: it cannot be read, or took more time or memory than a sound file does.
        """
        in_parts, cores = format_of(suffix).in_parts, min(MOST_PARTS, processes.count_cores())
        if in_parts and len(data) > LONG and cores > 1:
            return in_parts.join(self._read_parts(data, suffix, what, limit, cores), what, limit)
        answer = self.ask("read", data, what, suffix=suffix, limit=limit)
        return Extract(**answer | {"pages": tuple(answer["pages"])})

    def _read_parts(self, data: bytes, suffix: str, what: str, limit: int, parts: int) -> list[dict[str, Any]]:
        """Read a file in parts, each in a process of its own."""
        steps, contexts = [0] * parts, [copy_context() for _ in range(parts)]

        def tell(part: int, done: int, total: int) -> None:
            steps[part] = done
            self._on_step(sum(steps), total)

        def read(part: int) -> dict[str, Any]:
            with SandboxedReader(self._seconds, self._memory, partial(tell, part)) as reader:
                return reader.ask("read part", data, what, suffix=suffix, limit=limit, part=part, parts=parts)

        with ThreadPoolExecutor(parts) as pool:
            return list(pool.map(lambda inherited, part: inherited.run(read, part), contexts, range(parts)))

    def ask(self, task: str, data: bytes, what: str, **options: Any) -> dict[str, Any]:
        """What one of the `TASKS` finds in a file. Raises what `read` raises."""
        self._reader = self._reader or _start()
        request = {"task": task, "size": len(data), "what": what, "options": options}
        answer = self._answer(self._reader, [json.dumps(request).encode() + b"\n", data], what)
        if "error" in answer:
            raise InputError(answer["error"])
        return answer

    def _answer(self, reader: _Process, request: Sequence[bytes], what: str) -> dict[str, Any]:
        sender = threading.Thread(target=_send, args=(reader.process.stdin, request), daemon=True)
        sender.start()  # in a thread, since a process that does not listen would hold us here
        answer: dict[str, Any] = {"step": None}
        while "step" in answer:
            if answer["step"]:
                self._on_step(*answer["step"])
            answer = self._hear(reader, what)
        sender.join()
        return answer

    def _hear(self, reader: _Process, what: str) -> dict[str, Any]:
        """Wait for what the process says next, as long as it may take."""
        said: list[bytes | None] = []
        deadline = time.monotonic() + self._seconds

        def heard(seconds: float) -> bool:
            try:
                said.append(reader.answers.get(timeout=seconds))
            except queue.Empty:
                self._check_limits(reader.process.pid, deadline, what)
            return bool(said)

        poll_until(heard)
        if said[0] is None:
            raise InputError(f"{what} made its reader crash, so it is damaged or hostile. Convert it to plain text.")
        line: dict[str, Any] = json.loads(said[0])
        return line

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


def _read_part(data: bytes, what: str, suffix: str, limit: int, part: int, parts: int) -> dict[str, Any]:
    in_parts = format_of(suffix).in_parts
    assert in_parts is not None
    return in_parts.read(data, what, limit, part, parts)


def answer_requests() -> None:
    """What the other process does: read files as it is told, until nobody asks."""
    answers, sys.stdout = sys.stdout, sys.stderr  # a library may print

    def say(line: dict[str, Any]) -> None:
        answers.write(json.dumps(line) + "\n")
        answers.flush()

    STEPS.set(lambda done, total: say({"step": [done, total]}))
    for line in iter(sys.stdin.buffer.readline, b""):
        request = json.loads(line)
        data = sys.stdin.buffer.read(request.pop("size"))
        say(_answer_request(data, **request))


def _answer_request(data: bytes, task: str, what: str, options: dict[str, Any]) -> dict[str, Any]:
    try:
        return TASKS[task](data, what, options)
    except InputError as error:
        return {"error": str(error)}
    except Exception as error:  # whatever its library makes of a damaged file
        kind, why = options.get("suffix", ".pdf").lstrip(".").upper(), str(error)[:200] or type(error).__name__
        return {"error": f"{what} cannot be read as {kind} ({why}). It may be damaged: open it and save it anew."}


def _start() -> _Process:
    process = processes.start(processes.launch_ours("memorag_core.ingest.sandbox", "answer_requests"))
    answers: queue.Queue[bytes | None] = queue.Queue()
    listener = threading.Thread(target=_listen, args=(process.stdout, answers), daemon=True)
    listener.start()
    return _Process(process, answers, listener)


def _listen(lines: IO[bytes] | None, answers: queue.Queue[bytes | None]) -> None:
    for line in lines or ():
        answers.put(line)
    answers.put(None)


def _send(to: IO[bytes] | None, request: Sequence[bytes]) -> None:
    assert to is not None
    with suppress(OSError, ValueError):  # it ended, which is heard as an answer that never comes
        to.writelines(request)
        to.flush()
