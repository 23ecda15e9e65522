"""A real client of each era does the whole job over each transport, from the empty list to forgetting."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from conftest import STORY
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters
from mcp.types import ResourceTemplateReference
from mcp_processes import LOOPBACK, Era, command, ok, served, whole_answer

from memorag_core import Settings

pytestmark = pytest.mark.anyio
URI = "memorag://contexts/mill"
QUESTION = "When were the gates hung?"
LONG = f"{STORY} And so on. " * 100
SLOW = [("stdio", "auto"), ("http", "auto"), ("http", "legacy"), ("sse", "legacy"), ("sse", "auto")]
WAYS = [("stdio", "legacy"), *(pytest.param(*way, marks=pytest.mark.slow) for way in SLOW)]


class Told:
    """What a client hears of, by either era's way."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def on_message(self, message: Any) -> None:
        self.heard.append(f"{getattr(message, 'method', '')} {getattr(message.params, 'uri', '')}".strip())

    async def listen(self, client: Client, *, task_status: Any) -> None:
        async with client.listen(resources_list_changed=True, resource_subscriptions=[URI]) as changes:
            task_status.started()
            async for change in changes:
                self.heard.append(f"{type(change).__name__} {getattr(change, 'uri', '')}".strip())

    def both(self) -> bool:
        """Whether the list was told to have changed, and the resource too."""
        changed = any("list" in one.lower() for one in self.heard)
        return changed and any(one.endswith(URI) for one in self.heard)

    async def wait(self) -> None:
        with anyio.fail_after(60):
            while not self.both():
                await anyio.sleep(0.01)


@asynccontextmanager
async def connected(settings: Settings, transport: str, era: Era, told: Told) -> AsyncIterator[Client]:
    if transport == "stdio":
        process = StdioServerParameters(command=sys.executable, args=command(settings))
        async with Client(process, mode=era, message_handler=told.on_message) as client:
            yield client
        return
    with served(settings, transport) as port:
        where = f"http://{LOOPBACK}:{port}"
        server: Any = sse_client(f"{where}/sse") if transport == "sse" else f"{where}/mcp"
        async with Client(server, mode=era, message_handler=told.on_message) as client:
            yield client


async def subscribed(client: Client, told: Told, tasks: Any, era: Era) -> None:
    if era == "legacy":
        await client.session.subscribe_resource(URI)
    else:
        await tasks.start(told.listen, client)


@pytest.mark.filterwarnings("ignore:resources/")  # deprecated, and still what older clients call
@pytest.mark.parametrize(("transport", "era"), WAYS)
async def test_the_whole_job(settings: Settings, transport: str, era: Era) -> None:
    told, fractions = Told(), list[float]()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        fractions.append(progress / (total or 1))

    async with connected(settings, transport, era, told) as client, anyio.create_task_group() as tasks:
        assert (await ok(client, "list_contexts"))["contexts"] == []
        await subscribed(client, told, tasks, client_era(client, era))
        begun = await ok(client, "memorize_context", text=LONG, name="long", wait_seconds=0)
        stopped = await ok(client, "cancel_memorize", job_id=begun["job_id"])
        assert stopped["status"] == "cancelled"
        call = {"text": STORY, "name": "mill", "wait_seconds": 60}
        memorized = await client.call_tool("memorize_context", call, progress_callback=on_progress)
        assert (memorized.structured_content or {})["context_id"] == "mill"
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1.0
        await told.wait()
        template = ResourceTemplateReference(type="ref/resource", uri="memorag://contexts/{context_id}")
        completed = await client.complete(template, {"name": "context_id", "value": "mi"})
        assert completed.completion.values == ["mill"]
        await whole_answer(client, "mill", QUESTION, STORY)
        listed = [str(resource.uri) for resource in (await client.list_resources()).resources]
        assert listed[0] == URI
        texts = [(await client.read_resource(uri)).contents[0] for uri in listed]
        assert STORY in {getattr(text, "text", "") for text in texts}
        told.heard.clear()
        await ok(client, "forget_context", context_id="mill")
        await told.wait()
        assert (await ok(client, "list_contexts"))["contexts"] == []
        tasks.cancel_scope.cancel()


def client_era(client: Client, era: Era) -> Era:
    """What was agreed on: SSE is a transport of the older protocol alone."""
    return "auto" if client.protocol_version == "2026-07-28" else "legacy"
