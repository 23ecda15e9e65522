"""What a host chose by arguments and environment, read without the libraries that take long to import.

Hosts that chose alike share a server. What one of them lets be read holds for it alone, and is no part of the choice.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PREFIX = "MEMORAG_"
ALLOW, ALONE = "allow", "alone"
SWITCHES = {ALONE, "allow_url", "help"}
"""Options of `memorag serve` that take no value."""
PATHS = {"store", "models_dir", "prompts", "tokens"}
"""Options whose value is a path, which is told from the root on: the server has a current folder of its own."""
VARIABLES = {"models": "models_dir"}
"""Variables that are not called like their option."""
PREFIXES = ("MEMORAG_", "HF_", "TRANSFORMERS_", "TORCH_", "CUDA_", "OMP_", "MKL_", "SSL_")
ENDINGS = ("_PROXY", "_API_KEY", "_BASE_URL", "_ENDPOINT", "_API_VERSION")
"""What else of the environment decides how, and by whom, questions are answered."""
NO = {"", "0", "false", "no", "off"}
PACKAGES = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Choice:
    """A host's choice. `arguments` and `environment` are the server's; `allow` is what it may read for this host."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    allow: tuple[str, ...]
    alone: bool

    @classmethod
    def of(cls, arguments: Sequence[str], environment: Mapping[str, str]) -> Choice:
        """Read what a host gave. What cannot be meant is left for the server to refuse."""
        options = list(_split(arguments))
        allow = [value for name, value in options if name == ALLOW and value is not None]
        given = dict(options)
        said = [one for one in environment.get(f"{PREFIX}{ALLOW.upper()}", "").split(os.pathsep) if one]
        return cls(
            arguments=tuple(part for option in options if option[0] not in {ALLOW, ALONE} for part in _join(*option)),
            environment=dict(_without_relative_paths(environment)),
            allow=tuple(_absolute(one) for one in allow or said or default_allowed()),
            alone=ALONE in given
            or "help" in given
            or given.get("transport") not in {None, "stdio"}
            or environment.get(f"{PREFIX}{ALONE.upper()}", "").lower() not in NO,
        )

    def digest(self) -> str:
        """A name for all that servers of this choice have alike, on this machine, with this code."""
        named = {_option_of(name): value for name, value in self.environment.items() if name.startswith(PREFIX)}
        settings = named | {name: value or "" for name, value in _split(self.arguments)}
        others = {name: value for name, value in self.environment.items() if _decides(name)}
        alike = [sorted(settings.items()), sorted(others.items()), socket.gethostname(), sys.executable, list(_code())]
        return hashlib.sha256(json.dumps(alike).encode()).hexdigest()[:24]


def default_allowed() -> list[str]:
    """The current folder; but desktop hosts start servers in / or the home folder, which nobody meant to open."""
    here = Path.cwd()
    return [] if here in {Path(here.anchor), Path.home()} else [str(here)]


def _split(arguments: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    """Options by their names as the settings have them; what is no option has no name."""
    rest = iter(arguments)
    for part in rest:
        option, given, value = part.partition("=")
        name = option[2:].replace("-", "_")
        if not part.startswith("--"):
            yield "", part
        elif name in SWITCHES:
            yield name, None
        else:
            value = value if given else next(rest, "")
            yield name, _absolute(value) if name in PATHS or value.startswith((".", "~")) else value


def _join(name: str, value: str | None) -> list[str]:
    """An option as arguments again."""
    option = [f"--{name.replace('_', '-')}"] if name else []
    return option if value is None else [*option, value]


def _without_relative_paths(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in environment.items():
        ours = name.startswith(PREFIX)
        if ours and name.removeprefix(PREFIX).lower() == ALLOW:
            continue
        relative = ours and (_option_of(name) in PATHS or value.startswith((".", "~")))
        yield name, _absolute(value) if relative and value else value


def _option_of(variable: str) -> str:
    name = variable.removeprefix(PREFIX).lower()
    return VARIABLES.get(name, name)


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111  # `..` is looked up in the text


def _decides(name: str) -> bool:
    return name.upper().startswith(PREFIXES[1:]) or name.upper().endswith(ENDINGS)


def _code() -> Iterator[tuple[str, int, int]]:
    """What tells one version of the code from another: names, sizes and times; a checkout changes without a version."""
    yield from ((found.name, 0, 0) for found in sorted(PACKAGES.glob("memorag_mcp-*.dist-info")))
    for package in ("memorag_core", "memorag_mcp"):
        for path in sorted((PACKAGES / package).rglob("*.py")):
            status = path.stat()
            yield str(path), status.st_size, status.st_mtime_ns
