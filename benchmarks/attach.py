"""Hosts that share a server: processes with models, memory of all together, how soon a second host has an answer.

Run: python -m benchmarks.attach [HOSTS]
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

SAMPLE = Path(__file__).resolve().parents[1] / "contexts" / "samples" / "harrow-sound.md"
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "0"}}
ASKED = {"context_id": "sample", "question": "Who built the first light at Harrow Sound?"}
SECONDS = 600
WITH_MODELS = 300 << 20
LISTINGS = 20
CHARACTERS = 10_000


class Host:
    """A host, and what it started."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.started = time.perf_counter()
        environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "MEMORAG_LINGER": "5"}
        command = [sys.executable, "-m", "memorag_mcp", "--store", str(folder / "store"), "--profile", "tiny", *options]
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=null, text=True, env=environment)
        self.number = 0
        self.ask("initialize", HELLO)
        self.send("notifications/initialized")

    def send(self, method: str, params: dict[str, Any] | None = None, **more: Any) -> None:
        assert self.process.stdin is not None
        message = {"jsonrpc": "2.0", "method": method, "params": params or {}} | more
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def ask(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """The result of a request."""
        self.number += 1
        self.send(method, params, id=self.number)
        return self.reply()["result"]

    def reply(self) -> Any:
        """The reply to the last request; what else comes is not looked at."""
        assert self.process.stdout is not None
        while (message := json.loads(self.process.stdout.readline())).get("id") != self.number:
            pass
        return message

    def call(self, tool: str, **arguments: Any) -> Any:
        result = self.ask("tools/call", {"name": tool, "arguments": arguments})
        assert not result.get("isError"), result
        return result

    def leave(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(SECONDS)


def processes(folder: Path) -> list[psutil.Process]:
    """All that hosts of this folder have started, directly or not."""
    return [one for one in psutil.process_iter(["cmdline"]) if any(str(folder) in p for p in one.info["cmdline"] or ())]


def memory(folder: Path) -> list[int]:
    """Bytes that each process has of its own, and its share of what several have (PSS)."""
    return [one.memory_full_info().pss for one in processes(folder)]


@contextlib.contextmanager
def hosts(count: int, *options: str) -> Iterator[tuple[Path, list[Host]]]:
    """So many hosts of one store, in which the first has memorized the sample and asked about it."""
    with tempfile.TemporaryDirectory(prefix="attach") as name:
        folder = Path(name)
        first = Host(folder, *options)
        text = SAMPLE.read_text(encoding="utf-8")[:CHARACTERS]
        first.call("memorize_context", text=text, name="sample", wait_seconds=SECONDS)
        first.call("answer", **ASKED)
        alike = [first, *(Host(folder, *options) for _ in range(count - 1))]
        try:
            yield folder, alike
        finally:
            for host in alike:
                host.leave()
            psutil.wait_procs(processes(folder), SECONDS)


def kill(folder: Path, alike: list[Host]) -> tuple[int, float]:
    """Kill the server while all ask; how many are told to ask again, and seconds until all have an answer then."""
    server = max(processes(folder), key=lambda one: one.memory_info().rss)
    for host in alike:
        host.number += 1
        host.send("tools/call", {"name": "answer", "arguments": ASKED}, id=host.number)
    began = time.perf_counter()
    server.kill()
    failed = sum("error" in host.reply() for host in alike)
    for host in alike:
        host.call("answer", **ASKED)
    return failed, time.perf_counter() - began


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with hosts(1, "--alone") as (folder, _):
        one = sum(memory(folder))
    print(f"one host, --alone: {one >> 20} MiB")
    with hosts(count) as (folder, alike):
        answered = []
        for host in alike[1:]:
            began = time.perf_counter()
            host.call("answer", **ASKED)
            answered.append(time.perf_counter() - began)
        later = Host(folder)
        later.call("answer", **ASKED)
        from_start = time.perf_counter() - later.started
        later.leave()
        used = memory(folder)
        listings = []
        for _ in range(LISTINGS):
            began = time.perf_counter()
            alike[-1].ask("tools/list")
            listings.append(time.perf_counter() - began)
        failed, pause = kill(folder, alike)
    print(f"{count} hosts: {sum(used) >> 20} MiB in {len(used)} processes, {sum(used) / one:.2f} times that of one")
    print(f"processes with models: {sum(size > WITH_MODELS for size in used)}")
    print(f"first answers of the others: {', '.join(f'{seconds:.2f}' for seconds in answered)} s")
    print(f"a host started anew, from its start to its first answer: {from_start:.2f} s")
    print(f"killed while all ask: {failed} were told to ask again, all had answers after {pause:.1f} s")
    print(f"tools/list: median {statistics.median(listings) * 1000:.0f} ms, most {max(listings) * 1000:.0f} ms")


if __name__ == "__main__":
    main()
