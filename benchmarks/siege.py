"""Besiege a server: idle and half-sent connections, and kills at random moments of its work.

    python -m benchmarks.siege idle --connections 2000 --seconds 60
    python -m benchmarks.siege kills --times 200

Each prints what it measured as JSON and fails if somebody was kept waiting, or something was lost or left behind.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.config import WORK
from memorag_mcp.http.connections import allow_connections

LOOPBACK = "127.0.0.1"
HALF = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n"
PATIENCE = 120.0
MOST_SECONDS, MOST_LOG = 2.0, 1 << 20
TEXT = "The mill stands at the head of the pond. Amos kept the gate book. The horn was sounded on day {}. "
STEPS = """
import sys
from memorag_core import MemoRAG, Settings, from_text
engine = MemoRAG(Settings.of(profile="tiny", store=sys.argv[1]))
print("begun", flush=True)
new = from_text({new!r} * 30, "new")
if "base" in [c.id for c in engine.contexts()]:
    engine.add("base", [new]); engine.remove("base", "new")
engine.memorize([new], "fresh"); engine.forget("fresh")
"""


@contextmanager
def serve(store: Path, log: Path) -> Iterator[str]:
    """Run a server of the profile `tiny` over a store, its notices in a file; yields its address."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    flags = ["serve", "--profile", "tiny", "--store", str(store), "--transport", "http", "--port", str(port)]
    with log.open("wb") as notices:
        server = subprocess.Popen([sys.executable, "-m", "memorag_mcp.cli", *flags], stderr=notices)
    try:
        where, until = f"http://{LOOPBACK}:{port}", time.monotonic() + PATIENCE
        while time.monotonic() < until and not _is_up(where):
            time.sleep(0.1)
        yield where
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(PATIENCE)


def besiege(connections: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Hold connections, half of them idle and half with half a request, and measure calls of another client."""
    allow_connections()
    held: list[socket.socket] = []
    took: list[float] = []
    with serve(folder / "store", folder / "log") as where:
        port, until = int(where.rsplit(":", 1)[1]), time.monotonic() + seconds
        while time.monotonic() < until:
            held = [one for one in held if _is_open(one)]
            while len(held) < connections:
                held.append(socket.create_connection((LOOPBACK, port), PATIENCE))
                if len(held) % 2:
                    held[-1].sendall(HALF)
            began = time.monotonic()
            _list_contexts(where)
            took.append(time.monotonic() - began)
            time.sleep(0.2)
        for one in held:
            one.close()
    size = (folder / "log").stat().st_size
    result = {"connections": connections, "calls": len(took), "longest": round(max(took), 3), "log_bytes": size}
    assert max(took) < MOST_SECONDS, result
    assert size < MOST_LOG, result
    return result


def kill(times: int, folder: Path) -> dict[str, Any]:
    """Kill a process at random moments, start-up included, and look each time that the context is one of the two."""
    store, chance = folder / "store", random.Random(0)
    engine = MemoRAG(Settings.of(profile="tiny", store=store))
    engine.memorize([from_text(TEXT.format(1) * 30, "old")], "base")
    whole = {("old",), ("old", "new")}
    lengths: list[float] = []
    for number in range(times):
        code = STEPS.format(new=TEXT.format(number + 2))
        worker = subprocess.Popen([sys.executable, "-c", code, str(store)], stdout=subprocess.PIPE)
        began = time.monotonic()
        if chance.random() < 0.9 and worker.stdout:
            worker.stdout.readline()
        wait = chance.uniform(0, 8)
        try:
            worker.wait(wait)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait(PATIENCE)
        lengths.append(time.monotonic() - began)
        _check_store(store, whole)
    return {"kills": times, "mean_seconds": round(sum(lengths) / times, 2)}


def _check_store(store: Path, whole: set[tuple[str, ...]]) -> None:
    engine = MemoRAG(Settings.of(profile="tiny", store=store))
    engine.store.sweep()
    survey = engine.survey()
    assert not survey.damaged, survey.damaged
    for info in survey.contexts:
        ids = tuple(document.id for document in info.documents)
        assert ids in (whole if info.id == "base" else {("new",)}), (info.id, ids)
        for document in engine.documents(info.id):
            assert document.text.startswith("The mill stands"), info.id
    assert "base" in {info.id for info in survey.contexts}
    if "fresh" in {info.id for info in survey.contexts}:
        engine.forget("fresh")
    left = [path.name for path in (store / WORK).iterdir() if path.suffix != ".lock" and path.name != "jobs"]
    assert not left, left


def _list_contexts(where: str) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "siege", "version": "0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": "list_contexts", "arguments": {}, "_meta": meta}
    heads = {"Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2026-07-28"}
    heads |= {"Mcp-Method": "tools/call", "Mcp-Name": "list_contexts"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    reply = httpx.post(f"{where}/mcp", json=call, headers=heads, timeout=PATIENCE)
    assert reply.status_code == 200, reply.text


def _is_up(where: str) -> bool:
    try:
        return httpx.get(f"{where}/healthz").text == "ok\n"
    except httpx.TransportError:
        return False


def _is_open(one: socket.socket) -> bool:
    """Whether the server has not closed a connection yet."""
    one.setblocking(False)
    try:
        return one.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def main() -> None:
    """Read the command line, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["idle", "kills"])
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--times", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.what == "idle":
            result = besiege(given.connections, given.seconds, Path(folder))
        else:
            result = kill(given.times, Path(folder))
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
