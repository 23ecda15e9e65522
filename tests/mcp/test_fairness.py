"""However many calls one client has in flight, another's question and listings do not wait behind them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence

import anyio
import pytest
from mcp import Client
from mcp_processes import ok

from memorag_core import MemoRAG, Settings
from memorag_core.types import Clue, ContextInfo
from memorag_mcp.server import build_server

pytestmark = pytest.mark.anyio
GREEDY, QUEUE, SECONDS = 128, 64, 30.0


class Held(MemoRAG):
    """An engine whose first question goes on until `gate` is set; it notes whose questions it answers."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.gate, self.answered = threading.Event(), list[str]()

    def recall(self, context_id: str | Sequence[str], question: str) -> tuple[Clue, ...]:
        with self.shared.device_queue.slot():
            self.answered.append(question)
            self.gate.wait(SECONDS)
        return ()

    def info(self, context_id: str) -> ContextInfo:
        return ContextInfo(context_id, context_id, (), "", {}, 0, 0, 0, 0.0)


async def until(reached: Callable[[], bool]) -> None:
    with anyio.fail_after(SECONDS):
        while not reached():
            await anyio.lowlevel.checkpoint()


async def test_a_client_with_128_calls_in_flight_delays_another_by_two_turns_at_most(settings: Settings) -> None:
    engine = Held(settings.model_copy(update={"queue": QUEUE}))
    refused: Counter[str] = Counter()

    async def ask(client: Client, name: str) -> None:
        result = await client.call_tool("recall_clues", {"context_id": "any", "question": name})
        if result.is_error:
            assert "busy" in str(result.content)
            refused[name] += 1

    greedy, modest = (build_server(engine, owner=name) for name in ("greedy", "modest"))
    async with Client(greedy) as many, Client(modest) as one, anyio.create_task_group() as tasks:
        for _ in range(GREEDY):
            tasks.start_soon(ask, many, "greedy")
        await until(lambda: refused["greedy"] == GREEDY - QUEUE - 1)
        with anyio.fail_after(SECONDS):
            await ok(many, "list_contexts")
        tasks.start_soon(ask, one, "modest")
        await until(lambda: refused["greedy"] == GREEDY - QUEUE)
        engine.gate.set()
    assert engine.answered.index("modest") <= 2
    assert Counter(engine.answered) == {"greedy": QUEUE, "modest": 1}
    assert refused["modest"] == 0
