"""The whole job by a client of the Python SDK before 2.0: python client_v1.py stdio|http|sse TARGET TEXT.

TARGET is a URL, or for stdio a command as JSON. Prints what it saw, as JSON.
"""

# mypy: ignore-errors
# it runs with another version of the SDK than is installed here

from __future__ import annotations

import json
import sys
from typing import Any

import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import ResourceTemplateReference
from pydantic import AnyUrl

URI = AnyUrl("memorag://contexts/mill")


def connection(transport: str, target: str) -> Any:
    if transport == "stdio":
        return stdio_client(StdioServerParameters(**json.loads(target)))
    return sse_client(target) if transport == "sse" else streamablehttp_client(target)


async def main(transport: str, target: str, text: str) -> None:
    heard: list[str] = []
    progress: list[float] = []

    async def on_message(message: Any) -> None:
        heard.append(getattr(getattr(message, "root", None), "method", ""))

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        progress.append(done)

    async with (
        connection(transport, target) as streams,
        ClientSession(streams[0], streams[1], message_handler=on_message) as client,
    ):

        async def call(tool: str, more: Any = None, /, **arguments: Any) -> Any:
            result = await client.call_tool(tool, arguments, progress_callback=more)
            assert not result.isError, result.content
            return result.structuredContent

        await client.initialize()
        tools = [tool.name for tool in (await client.list_tools()).tools]
        empty = (await call("list_contexts"))["contexts"]
        await client.subscribe_resource(URI)
        begun = await call("memorize_context", text=text * 100, name="long", wait_seconds=0)
        cancelled = (await call("cancel_memorize", job_id=begun["job_id"]))["status"]
        memorized = await call("memorize_context", on_progress, text=text, name="mill", wait_seconds=60)
        while not {"notifications/resources/list_changed", "notifications/resources/updated"} <= set(heard):
            await anyio.sleep(0.01)
        ref = ResourceTemplateReference(type="ref/resource", uri="memorag://contexts/{context_id}")
        completed = (await client.complete(ref, {"name": "context_id", "value": "mi"})).completion.values
        answer = await call("answer", context_id="mill", question="When were the gates hung?")
        listed = [resource.uri for resource in (await client.list_resources()).resources]
        read = (await client.read_resource(listed[1])).contents[0].text
        await call("forget_context", context_id="mill")
        left = (await call("list_contexts"))["contexts"]
    seen = {"modern": False, "tools": tools, "empty": empty, "cancelled": cancelled, "progress": progress}
    seen |= {"context": memorized["context_id"], "completed": completed, "answer": answer, "read": read, "left": left}
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
