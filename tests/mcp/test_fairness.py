"""However many calls one client has in flight, another's question and listings do not wait behind them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import pytest
from mcp import Client
from mcp_processes import ok

from memorag_core import MemoRAG, Settings
from memorag_core.types import EVERYTHING, Clue, ContextInfo, Scope
from memorag_mcp.server import build_server

pytestmark = pytest.mark.anyio
GREEDY, QUEUE, SECONDS = 128, 64, 30.0


class Held(MemoRAG):
    """An engine whose first question goes on until `gate` is set; it notes whose questions it answers."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.gate, self.answered = threading.Event(), list[str]()

    def recall(self, context_id: str | Sequence[str], question: str, scope: Scope = EVERYTHING) -> tuple[Clue, ...]:
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


async def test_a_path_that_the_disk_does_not_resolve_keeps_nobody_waiting(
    engine: MemoRAG, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, reached, let = threading.Event(), threading.Event(), list[bool]()

    def resolve(path: Path, _: Sequence[Path]) -> Path:
        reached.set()
        let.append(gate.wait(SECONDS))
        return path

    monkeypatch.setattr("memorag_mcp.inputs.resolve_allowed", resolve)
    server = build_server(engine, [tmp_path])
    async with Client(server) as one, Client(server) as other, anyio.create_task_group() as tasks:
        tasks.start_soon(one.call_tool, "memorize_context", {"path": "slow.txt"})
        await until(reached.is_set)
        await ok(other, "list_contexts")
        gate.set()
    assert all(let)
