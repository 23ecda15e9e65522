"""Start processes of our own apart from whoever started us: no code of the current folder or of the environment is run.

Python puts the current folder first where it looks for modules, and a project that was opened may hold a `pip.py`. So
every process starts with `-P`, in a folder of the installation, without the caller's `PYTHON…` variables.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NEEDED = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH")
"""All that a process without secrets gets of our environment."""
ISOLATED = ("-P", "-X", "utf8")
M_ARENA_MAX, HEAPS = -8, 2
HERE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Launch:
    """How a process is started: program and arguments, environment, current folder."""

    program: str
    arguments: list[str]
    environment: dict[str, str]
    folder: Path

    @property
    def command(self) -> list[str]:
        """Program and arguments in one list."""
        return [self.program, *self.arguments]


def launch_module(module: str, arguments: Sequence[str], folder: Path) -> Launch:
    """Prepare to run a module of another's, as `python -m` does."""
    return _launch(["-m", module, *arguments], folder, _clean_environment())


def launch_ours(module: str, function: str, arguments: Sequence[str] = (), secrets: bool = False) -> Launch:
    """Prepare to call a function of ours; `secrets` says whether it may have what else our environment holds."""
    code = f"import sys; sys.path[:] = {_search_path()!r}; from {module} import {function} as run; run()"
    environment = _clean_environment()
    if not secrets:
        environment = {name: value for name, value in environment.items() if name.upper() in NEEDED}
    return _launch(["-c", code, *arguments], Path(sys.prefix), environment)


def run(launch: Launch) -> subprocess.CompletedProcess[str]:
    """Run a process to its end, and return what it said."""
    return subprocess.run(
        launch.command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=launch.folder,
        env=launch.environment,
    )


def start(launch: Launch) -> subprocess.Popen[bytes]:
    """Start a process that is spoken to by its input and output; what it says of errors is not heard."""
    return subprocess.Popen(
        launch.command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=launch.folder,
        env=launch.environment,
    )


def start_apart(launch: Launch, log: int) -> subprocess.Popen[bytes]:
    """Start a process that lives on when we end; it says one thing on its output, and its errors go into a log."""
    return subprocess.Popen(
        launch.command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        cwd=launch.folder,
        env=launch.environment,
        start_new_session=True,
        creationflags=_flags_apart(),
    )


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def go_on_in_utf8() -> None:
    """Start this program again in UTF-8 where the locale knows less: names of files and arguments hold any letter."""
    if sys.platform != "win32" and sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606  # ourselves


def keep_memory_together() -> None:
    """Let all threads take memory from two heaps (glibc; elsewhere nothing): of a heap for each, most lies idle."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, HEAPS)


def leave_parent() -> None:
    """Go on as no child of whoever started us, where the system knows such a thing."""
    if hasattr(os, "fork") and os.fork():
        os._exit(0)


def _flags_apart() -> int:
    """Windows' flags for a process without our console."""
    if sys.platform == "win32":
        return subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    return 0


def _launch(arguments: Sequence[str], folder: Path, environment: dict[str, str]) -> Launch:
    return Launch(sys.executable, [*ISOLATED, *arguments], environment, folder)


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("PYTHON")}


def _search_path() -> list[str]:
    """Return where we found our own modules, but for the current folder, unless we lie there ourselves."""
    folders = [Path(entry).absolute() for entry in sys.path if entry]
    return [str(folder) for folder in folders if folder == HERE or folder != Path.cwd()]
