"""From starting the server's process to its first reply, against an empty server of the SDK, interleaved.

Run: python -m benchmarks.start [RUNS]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

EMPTY = "from mcp.server import MCPServer; MCPServer('empty').run('stdio')"
OURS = [sys.executable, "-c", "from memorag_mcp.cli import serve_stdio; serve_stdio()"]
COMMANDS = {"memorag": OURS, "empty SDK server": [sys.executable, "-c", EMPTY]}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "0"}}


def first_reply(command: list[str]) -> tuple[float, float]:
    """Seconds from the start to the reply to `initialize`, and from then to that to `tools/list`."""
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def ask(message: dict[str, object], reply: bool = True) -> None:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(json.dumps({"jsonrpc": "2.0"} | message) + "\n")
            server.stdin.flush()
            if reply:
                server.stdout.readline()

        ask({"id": 1, "method": "initialize", "params": HELLO})
        replied = time.perf_counter()
        ask({"method": "notifications/initialized"}, reply=False)
        listing = time.perf_counter()
        ask({"id": 2, "method": "tools/list", "params": {}})
        listed = time.perf_counter()
        server.kill()
    return replied - started, listed - listing


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, command in COMMANDS.items():
            times[name].append(first_reply(command))
    medians = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in times.items()}
    print(f"median of {runs}, seconds")
    for name, (start, tools) in medians.items():
        print(f"{name:20} first reply {start:.2f}   tools/list after it {tools * 1000:.0f} ms")
    ours, empty = (medians[name][0] for name in COMMANDS)
    print(f"ratio of first replies, ours to the empty server's: {ours / empty:.2f}")


if __name__ == "__main__":
    main()
