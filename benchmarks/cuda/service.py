"""The default profile end to end: a server over HTTP memorizes a text, and answers one, four and sixteen clients."""

from __future__ import annotations

import json
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
from mcp import Client

from benchmarks.cuda.report import Report
from benchmarks.siege.served import Served, serve

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = (1, 4, 16)
ROUNDS = 4
LONGEST = 240.0
GIB = 1 << 30
RESERVED = re.compile(r'memorag_device_bytes\{state="reserved"\} (\d+)')


@dataclass(frozen=True)
class Given:
    """A text and questions about it."""

    text: str
    questions: list[str]

    @classmethod
    def find(cls) -> Given:
        """The text that the bars are of, where it is; else the sample."""
        folders = [place / "shared" / "eval" / "loogle_shortdep_qa" for place in (ROOT, ROOT.parent)]
        samples = ROOT / "contexts" / "samples"
        known = [(folder / "doc0.txt", folder / "questions.jsonl") for folder in folders if folder.is_dir()]
        text, asked = [*known, (samples / "harrow-sound.md", samples / "harrow-sound.questions.jsonl")][0]
        questions = map(json.loads, asked.read_text("utf-8").splitlines())
        return cls(text.read_text("utf-8"), [line["question"] for line in questions if line["context"] == text.stem])

    @classmethod
    def short(cls) -> Given:
        """The beginning of the sample, to see that it runs."""
        sample = ROOT / "contexts" / "samples" / "harrow-sound.md"
        return cls(sample.read_text("utf-8")[:3000], ["Who was Dr. Wragg?", "What is in the sound?"])


def measure(report: Report, device: str, given: Given, rounds: int = ROUNDS, clients: Sequence[int] = CLIENTS) -> None:
    """Start a server, and ask it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        with serve(folder / "store", folder / "log", device=device) as served:
            report.show("the server listens", time.perf_counter() - started, "s")
            try:
                anyio.run(_ask_all, report, served, given, rounds, clients)
            except BaseException:
                print((folder / "log").read_text("utf-8", "replace")[-4000:])
                raise


async def _ask_all(report: Report, served: Served, given: Given, rounds: int, clients: Sequence[int]) -> None:
    visit = _Visit(served, given)
    report.show("the models are loaded, a first text is memorized", await visit.memorize("warm", given.text[:500]), "s")
    taken = await visit.memorize("text", given.text)
    bar = 3.0 * len(given.text) / 68_760
    report.show(f"memorizing {len(given.text):,} characters", taken, "s", bar=round(bar, 2))
    report.show("the first answer", await visit.answer(given.questions[0]), "s")
    for count in clients:
        times, whole = await visit.answer_many(count, rounds)
        middle = statistics.median(times)
        report.show(f"an answer, clients: {count}, median", middle, "s", bar=0.4 if count == 1 else None)
        rate = len(times) / whole
        report.show(f"answers, clients: {count}", rate, "answers/s", bar=15.0 if count == 16 else None)
    if reserved := RESERVED.search(httpx.get(f"{served.where}/metrics").text):
        report.show("device memory that the server holds", int(reserved[1]) / GIB, "GiB")


class _Visit:
    """Clients of one server."""

    def __init__(self, served: Served, given: Given) -> None:
        self.where, self.given = f"{served.where}/mcp", given
        self.next = 0

    async def memorize(self, name: str, text: str) -> float:
        """Seconds until a text's memory is made."""
        started = time.perf_counter()
        async with Client(self.where) as client:
            job = await _call(client, "memorize_context", text=text, name=name, wait_seconds=30)
            while job["status"] == "working":
                job = await _call(client, "memorize_status", job_id=job["job_id"], wait_seconds=30)
        assert job["status"] == "completed", job
        return time.perf_counter() - started

    async def answer(self, question: str) -> float:
        """Seconds of one answer."""
        async with Client(self.where) as client:
            return await _answer(client, question)

    async def answer_many(self, clients: int, rounds: int) -> tuple[list[float], float]:
        """Seconds of each answer, and from the first question to the last answer."""
        times: list[float] = []

        async def visit() -> None:
            async with Client(self.where) as client:
                for _ in range(rounds):
                    self.next += 1
                    times.append(await _answer(client, self.given.questions[self.next % len(self.given.questions)]))

        started = time.perf_counter()
        with anyio.fail_after(LONGEST):
            async with anyio.create_task_group() as group:
                for _ in range(clients):
                    group.start_soon(visit)
        return times, time.perf_counter() - started


async def _answer(client: Client, question: str) -> float:
    started = time.perf_counter()
    await _call(client, "answer", context_id="text", question=question)
    return time.perf_counter() - started


async def _call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    found: dict[str, Any] = result.structured_content or {}
    return found
