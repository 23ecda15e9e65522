"""Besiege a server: idle and half-sent connections, kills at random moments of its work, or clients who come and go.

    python -m benchmarks.siege idle --connections 2000 --seconds 60
    python -m benchmarks.siege kills --times 200 --seed 0
    python -m benchmarks.siege hour --clients 20 --seconds 3600

Each prints what it measured as JSON and fails if somebody was kept waiting, or something was lost or left behind.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import anyio

from benchmarks.siege.hour import crowd
from benchmarks.siege.idle import besiege
from benchmarks.siege.kills import kill


def main() -> None:
    """Read the command line, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["idle", "kills", "hour"])
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.what == "idle":
            result = besiege(given.connections, given.seconds, Path(folder))
        elif given.what == "kills":
            result = kill(given.times, given.seed, Path(folder))
        else:
            result = anyio.run(crowd, given.clients, given.seconds, Path(folder))
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
