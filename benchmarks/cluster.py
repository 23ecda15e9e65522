"""A cluster on this machine against a single process: answers, errors, warm questions, while replicas are killed.

40 contexts in an S3 server, 30 clients that ask one of them every 10 s: first of one process, then of Ray Serve with
three replicas and two fronts, of which a replica and then a front are killed.

Run: python -m benchmarks.cluster [SECONDS]
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psutil
from mcp import Client

SAMPLE = Path(__file__).resolve().parents[1] / "contexts" / "samples" / "harrow-sound.md"
CONTEXTS, CLIENTS, CHARACTERS = 40, 30, 1500
SECONDS_BETWEEN_QUESTIONS = 10.0
HOST, PORT, S3_PORT = "127.0.0.1", 18365, 18366
BUSY = ("Try again", "busy")
KEYS = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "me", "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}


@dataclass
class Outcome:
    """What became of the questions of a run."""

    seconds: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)

    def show(self, name: str) -> None:
        middle = statistics.median(self.seconds)
        late = statistics.quantiles(self.seconds, n=20)[-1]
        print(f"{name}: {dict(self.counts)}; p50 {middle:.3f} s, p95 {late:.3f} s", flush=True)
        for what, number in self.others.most_common(8):
            print(f"  {number} x {what}")


def text_of(number: int) -> str:
    """A text of its own for each context."""
    text = SAMPLE.read_text(encoding="utf-8")[:CHARACTERS]
    return f"{text}\n\nThe password of station {number} is {codeword(number)}, which the keeper chose.\n"


def codeword(number: int) -> str:
    return random.Random(number).choice(["amber", "birch", "cedar", "delta", "ember"]) + str(number)


async def ask(client: Client, number: int) -> str:
    """The answer of a context's question, as text and quotes; an error as what it says."""
    values = {"context_id": f"station-{number}", "question": f"What is the password of station {number}?"}
    result = await client.call_tool("answer", values)
    if result.is_error:
        raise RuntimeError(" ".join(getattr(block, "text", "") for block in result.content))
    structured: dict[str, Any] = result.structured_content or {}
    return str([structured["text"], [citation["quote"] for citation in structured["citations"]]])


async def memorize_all() -> dict[int, str]:
    """Memorize the contexts, and return the answers of a quiet server."""
    async with Client(f"http://{HOST}:{PORT}/mcp") as client:
        for number in range(CONTEXTS):
            values = {"text": text_of(number), "name": f"station-{number}", "wait_seconds": 120}
            assert not (await client.call_tool("memorize_context", values)).is_error
        return {number: await ask(client, number) for number in range(CONTEXTS)}


async def crowd(expected: dict[int, str], seconds: float, blows: list[Callable[[], None]]) -> Outcome:
    """Let the clients ask for so long; the blows are struck at even distances."""
    outcome, end = Outcome(), time.monotonic() + seconds

    async def visit(seed: int) -> None:
        dice = random.Random(seed)
        await asyncio.sleep(dice.uniform(0, SECONDS_BETWEEN_QUESTIONS))
        while time.monotonic() < end:
            number, started = dice.randrange(CONTEXTS), time.monotonic()
            try:
                async with Client(f"http://{HOST}:{PORT}/mcp") as client:
                    right = await ask(client, number) == expected[number]
                outcome.counts["right" if right else "wrong"] += 1
                outcome.seconds.append(time.monotonic() - started)
            except Exception as error:
                said = "; ".join(_leaves(error))
                outcome.counts["busy" if any(word in said for word in BUSY) else "error"] += 1
                outcome.others[said[:200]] += 1
            await asyncio.sleep(max(0.0, started + SECONDS_BETWEEN_QUESTIONS - time.monotonic()))

    async def strike() -> None:
        for blow in blows:
            await asyncio.sleep(seconds / (len(blows) + 1))
            blow()

    await asyncio.gather(strike(), *(visit(seed) for seed in range(CLIENTS)))
    return outcome


def _leaves(error: BaseException) -> Iterator[str]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield f"{type(error).__name__}: {error}"


@contextlib.contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process, as long as it is needed."""
    process = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def wait_for(look: Callable[[], object]) -> None:
    for _ in range(600):
        with contextlib.suppress(Exception):
            look()
            return
        time.sleep(0.2)
    raise TimeoutError


def listens() -> None:
    import httpx

    httpx.get(f"http://{HOST}:{PORT}/healthz").raise_for_status()


def kill(deployment: str) -> None:
    """Kill one replica of a deployment, as a machine that is lost would."""
    title = f"ray::ServeReplica:memorag:{deployment}"
    found = [one for one in psutil.process_iter(["cmdline"]) if "".join(one.info["cmdline"] or "").startswith(title)]
    print(f"{deployment}: {len(found)} replicas, one is killed", flush=True)
    found[0].send_signal(signal.SIGKILL)


def loads(logs: Path) -> int:
    """How often a replica that answers loaded a context."""
    told = [path.read_text(errors="replace") for path in logs.glob("worker*.err")]
    answering = [text for text in told if "memorag:questions" in text]
    return sum(text.count("memorag: loaded ") for text in answering)


def serve_cluster(settings: dict[str, str], seconds: float, expected: dict[int, str]) -> None:
    from memorag_mcp.cluster import PROXIES

    os.environ.update(PROXIES)
    import ray
    from ray import serve

    from memorag_mcp.cluster.app import NAME, build

    ray.init(num_cpus=16, include_dashboard=False, log_to_driver=False)
    try:
        serve.start(http_options={"host": HOST, "port": PORT})
        numbers = {"fronts": 2, "replicas": 3, "most_replicas": 3, "writers": 1, "most_writers": 1, "cpus": 0.5}
        serve.run(build({"settings": settings, "host": HOST, "port": PORT, **numbers}), name=NAME)
        logs = Path(ray._private.worker._global_node.get_logs_dir_path())  # type: ignore[attr-defined]
        asyncio.run(crowd(expected, 60, []))  # until contexts are warm
        cold = loads(logs)
        blows = [lambda: kill("questions"), lambda: kill("fronts")] if seconds >= 60 else []
        outcome = asyncio.run(crowd(expected, seconds, blows))
        outcome.show("cluster")
        again = loads(logs) - cold
        print(f"loads before {cold}, then {again}; on a warm replica: {1 - again / outcome.counts.total():.1%}")
        print({title: f"{rss >> 20} MiB" for title, rss in sizes()})
    finally:
        serve.shutdown()
        ray.shutdown()


def sizes() -> Iterator[tuple[str, int]]:
    for one in psutil.process_iter(["cmdline"]):
        if (title := "".join(one.info["cmdline"] or "")).startswith("ray::ServeReplica"):
            yield f"{title.removeprefix('ray::ServeReplica:memorag:')} {one.pid}", one.memory_info().rss


def main(seconds: float) -> None:
    os.environ.update(KEYS, AWS_ENDPOINT=f"http://{HOST}:{S3_PORT}", RAY_USAGE_STATS_ENABLED="0", OMP_NUM_THREADS="1")
    with tempfile.TemporaryDirectory() as folder, running("moto.server", "-H", HOST, "-p", str(S3_PORT)):
        s3 = boto3.Session("me", "me", region_name="us-east-1").client("s3", endpoint_url=os.environ["AWS_ENDPOINT"])
        wait_for(lambda: s3.create_bucket(Bucket="cluster"))
        settings = {"profile": "tiny", "device": "cpu", "store": f"{folder}/store", "shared": "s3://cluster/benchmark"}
        flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
        with running("memorag_mcp.cli", "serve", "--transport", "http", "--port", str(PORT), *flags):
            wait_for(listens)
            expected = asyncio.run(memorize_all())
            found = sum(codeword(number) in answer for number, answer in expected.items())
            print(f"{CONTEXTS} contexts; {found} answers of a quiet process name the codeword", flush=True)
            asyncio.run(crowd(expected, min(seconds, 60), []))
            asyncio.run(crowd(expected, min(seconds, 90), [])).show("one process")
        serve_cluster(settings | {"store": f"{folder}/other"}, seconds, expected)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 300.0)
