"""What a server that listens tells of itself: that it is there, and numbers in Prometheus' text format."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence

import psutil
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memorag_core.runtime import Runtime
from memorag_mcp.jobs.manager import Jobs

Sample = tuple[str, float]


class Metrics:
    """Counts what is answered; asks the rest when it is wanted. Names and texts of users are in none of it."""

    def __init__(self, shared: Runtime) -> None:
        self._shared = shared
        self._answered: Counter[int] = Counter()

    def count_answers(self, app: ASGIApp) -> ASGIApp:
        """The application, its answers counted by status."""

        async def count(scope: Scope, receive: Receive, send: Send) -> None:
            async def note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._answered[message["status"]] += 1
                await send(message)

            await app(scope, receive, note)

        return count

    def text(self, jobs: Sequence[Jobs]) -> str:
        """All numbers, given the jobs of every owner."""
        return "".join(f"# TYPE {name} {kind}\n{_lines(samples)}" for name, kind, samples in self._families(jobs))

    def _families(self, jobs: Sequence[Jobs]) -> Iterator[tuple[str, str, list[Sample]]]:
        shared = self._shared
        answered = [(f'memorag_requests_total{{status="{code}"}}', n) for code, n in sorted(self._answered.items())]
        yield "memorag_requests_total", "counter", [(name, float(number)) for name, number in answered]
        gauges: dict[str, float] = {
            "memorag_jobs_at_work": sum(one.at_work for one in jobs),
            "memorag_queue_waiting": shared.device_queue.waiting,
            "memorag_encodings_waiting": shared.encode_queue.waiting,
            "memorag_models_loaded": shared.loaded,
            "memorag_warm_contexts": len(shared.context_cache.values()),
            "memorag_warm_bytes": shared.context_cache.size,
            "memorag_resident_bytes": psutil.Process().memory_info().rss,
        }
        yield from ((name, "gauge", [(name, value)]) for name, value in gauges.items())
        if device := device_bytes():
            yield "memorag_device_bytes", "gauge", device


def device_bytes() -> list[Sample]:
    """The memory of the CUDA device most in use: all of it, what nobody has, what this server has, and uses of that.

    Nothing before a model is on it: to ask would take memory of the device.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return []
    device = max(range(torch.cuda.device_count()), key=torch.cuda.memory_reserved)
    free, total = torch.cuda.mem_get_info(device)
    held, used = torch.cuda.memory_reserved(device), torch.cuda.memory_allocated(device)
    known = {"total": total, "free": free, "reserved": held, "allocated": used}
    return [(f'memorag_device_bytes{{state="{state}"}}', float(number)) for state, number in known.items()]


def _lines(samples: Sequence[Sample]) -> str:
    return "".join(f"{name} {value:.0f}\n" for name, value in samples)
