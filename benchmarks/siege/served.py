"""A server process of the profile `tiny`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

LOOPBACK = "127.0.0.1"
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Served:
    """Where it listens, and the number of its process."""

    port: int
    pid: int

    @property
    def where(self) -> str:
        """Its address."""
        return f"http://{LOOPBACK}:{self.port}"


@contextmanager
def serve(store: Path, log: Path, transport: str = "http", device: str = "auto") -> Iterator[Served]:
    """Run a server over a store, its notices in a file and its temporary files in the folder `tmp` beside that one."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    flags = ["serve", "--profile", "tiny", "--store", str(store), "--transport", transport, "--port", str(port)]
    flags += ["--device", device]
    temporary = log.with_name("tmp")
    temporary.mkdir(exist_ok=True)
    environment = os.environ | {"TMPDIR": str(temporary)}
    with log.open("wb") as notices:
        server = subprocess.Popen(
            [sys.executable, "-m", "memorag_mcp.cli", *flags], stderr=notices, stdout=notices, env=environment
        )
    served = Served(port, server.pid)
    try:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not _is_up(served.where):
            time.sleep(0.1)
        yield served
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(PATIENCE)


def _is_up(where: str) -> bool:
    try:
        return httpx.get(f"{where}/healthz").text == "ok\n"
    except httpx.TransportError:
        return False
