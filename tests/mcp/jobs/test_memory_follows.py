"""What is memorized can be asked before its memory is made, and the tools say how far that is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Event
from typing import Any

import anyio
import anyio.to_thread
import pytest
from conftest import STORY
from gated import reached
from mcp import Client
from mcp_processes import ok
from waits import SECONDS

from memorag_core import MemoRAG, Settings
from memorag_core.concurrency.cancellation import poll_until
from memorag_core.memory import LiteMemory, Memory
from memorag_mcp.server import build_server

pytestmark = pytest.mark.anyio
QUESTION = "When were the gates hung?"
URI = "memorag://contexts/mill"


class Gate:
    """The memory of contexts is made once `open` is set; `reached` is set when that is waited for."""

    def __init__(self) -> None:
        self.reached, self.open = Event(), Event()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate, memorize, update = Gate(), LiteMemory.memorize, LiteMemory.update

    def wait(self: LiteMemory, *given: Any) -> Memory:
        progress = given[-1]
        progress.step(2, 5)
        gate.reached.set()
        poll_until(lambda _: progress.step(2, 5) or gate.open.wait(0.01))
        return memorize(self, *given) if len(given) == 2 else update(self, *given)

    monkeypatch.setattr(LiteMemory, "memorize", wait)
    monkeypatch.setattr(LiteMemory, "update", wait)
    monkeypatch.setattr("memorag_mcp.jobs.run.SECONDS_FOR_THE_REST", 0.0)
    yield gate
    gate.open.set()


async def begin(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a tool returns as soon as there is something to ask."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content or {}


async def told(client: Client, job_id: str) -> dict[str, Any]:
    """The status of a job whose memory has made progress."""
    with anyio.fail_after(SECONDS):
        while True:
            status = await ok(client, "memorize_status", job_id=job_id, wait_seconds=0)
            if " 0%" not in status["context"]["ready"]:
                return status


async def test_a_text_is_asked_while_its_memory_is_made_and_everything_says_so(settings: Settings, gate: Gate) -> None:
    asked = {"context_id": "mill", "question": QUESTION}
    async with Client(build_server(MemoRAG(settings))) as client:
        begun = await begin(client, "memorize_context", text=STORY, name="mill")
        await reached(gate.reached)
        status = await told(client, begun["job_id"])
        [listed] = (await ok(client, "list_contexts"))["contexts"]
        resource = json.loads(getattr((await client.read_resource(URI)).contents[0], "text", ""))
        about = {str(r.uri): r.description for r in (await client.list_resources()).resources}[URI]
        found = [await ok(client, tool, **asked) for tool in ("recall_clues", "retrieve_evidence", "answer")] + [
            await ok(client, "summarize", context_id="mill")
        ]
        alone = await ok(client, "retrieve_evidence", **asked, use_clues=False)
        refused = await client.call_tool("answer", asked | {"task": "qa"})
        gate.open.set()
        waited = await ok(client, "recall_clues", **asked, wait_for_memory=True)
        done = await ok(client, "memorize_status", job_id=begun["job_id"], wait_seconds=50)
    assert (begun["status"], begun["context_id"], begun["context"]["ready"][:16]) == (
        "working",
        "mill",
        "evidence; memory",
    )
    assert "Ask it" in begun["next"]
    for ready in (status["context"]["ready"], listed["ready"], resource["ready"]):
        assert ready.startswith("evidence; memory ")
        assert int(ready.removeprefix("evidence; memory ").split("%")[0]) in range(30, 70)
    assert "its memory not made yet" in (about or "")
    assert [one["without_memory"] for one in (*found, alone, waited)] == [True] * 4 + [False] * 2
    assert found[1]["passages"]
    assert found[2]["citations"]
    assert "not made yet" in str(refused.content)
    assert (done["status"], done["context"]["ready"]) == ("completed", "evidence and memory")


async def test_an_added_document_is_found_while_the_memory_follows(settings: Settings, gate: Gate) -> None:
    gate.open.set()
    async with Client(build_server(MemoRAG(settings))) as client:
        await ok(client, "memorize_context", text=STORY, name="mill", wait_seconds=600)
        gate.open.clear()
        light = "The lighthouse log says that the wind went round to the west."
        begun = await begin(client, "add_documents", context_id="mill", text=light, title="light")
        found = await ok(client, "retrieve_evidence", context_id="mill", question="What does the lighthouse log say?")
        gate.open.set()
        done = await ok(client, "memorize_status", job_id=begun["job_id"], wait_seconds=50)
    assert (begun["status"], begun["context"]["document_count"]) == ("working", 2)
    assert "light" in {passage["document_id"] for passage in found["passages"]}
    assert found["without_memory"]
    assert done["context"]["ready"] == "evidence and memory"


async def test_a_memory_that_was_interrupted_or_cancelled_leaves_the_context_to_be_asked_and_is_made_later(
    settings: Settings, gate: Gate
) -> None:
    server = build_server(MemoRAG(settings))
    async with Client(server) as client:
        begun = await begin(client, "memorize_context", text=STORY, name="mill")
        await anyio.to_thread.run_sync(server.jobs.close)
    async with Client(build_server(MemoRAG(settings))) as client:
        [interrupted] = (await ok(client, "list_contexts"))["contexts"]
        assert (await ok(client, "answer", context_id="mill", question=QUESTION))["citations"]
        again = await begin(client, "resume_memorize", job_id=begun["job_id"])
        cancelled = await ok(client, "cancel_memorize", job_id=begun["job_id"])
        [left] = (await ok(client, "list_contexts"))["contexts"]
        gate.open.set()
        with anyio.fail_after(SECONDS):
            whole = await ok(client, "memorize_context", text=STORY, name="mill", wait_seconds=600)
    assert "resume_memorize" in interrupted["ready"]
    assert (again["status"], again["context_id"]) == ("working", "mill")
    assert "the context can be asked" in cancelled["reason"]
    assert left["ready"] == "evidence; memory not made: memorize it again"
    assert (whole["status"], whole["context"]["ready"]) == ("completed", "evidence and memory")
