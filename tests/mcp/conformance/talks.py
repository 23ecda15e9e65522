"""Fixtures that talk to the client while they run: progress, logs, sampling, elicitation, changes."""

from __future__ import annotations

from typing import Any

import anyio
from contents import words
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    EmptyResult,
    SamplingMessage,
    SetLevelRequestParams,
    TextContent,
)

from memorag_mcp.jobs.run import Ctx
from memorag_mcp.protocol.sdk_server import ContextServer

PAUSE = 0.05
TEXT = {"type": "string"}
CHOICES = ["option1", "option2", "option3"]
DEFAULTS = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}


def titled(values: str, titles: str) -> list[dict[str, str]]:
    names = ("First", "Second", "Third")
    return [{"const": f"{values}{n}", "title": f"{name} {titles}"} for n, name in enumerate(names, start=1)]


ENUMS = {
    "untitledSingle": {"type": "string", "enum": CHOICES},
    "titledSingle": {"type": "string", "oneOf": titled("value", "Option")},
    "legacyEnum": {
        "type": "string",
        "enum": ["opt1", "opt2", "opt3"],
        "enumNames": ["Option One", "Option Two", "Option Three"],
    },
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": CHOICES}},
    "titledMulti": {"type": "array", "items": {"anyOf": titled("value", "Choice")}},
}


async def elicited(ctx: Ctx, message: str, properties: dict[str, Any], required: list[str]) -> str:
    """What the client answered to a form, as text."""
    schema = {"type": "object", "properties": properties, "required": required}
    session, request_id = ctx.session, ctx.request_context.request_id
    if session.client_capabilities is None or session.client_capabilities.elicitation is None:
        raise ToolError("This client has no elicitation.")
    answer = await session.elicit_form(message, schema, request_id)
    return f"action={answer.action}, content={answer.content}"


def add_talks(server: ContextServer) -> None:
    """All of them."""
    _add_telling(server)
    _add_asking(server)
    _add_changing(server)

    async def set_level(ctx: ServerRequestContext[Any, Any], params: SetLevelRequestParams) -> EmptyResult:
        return EmptyResult()

    server._lowlevel_server.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)


def _add_telling(server: ContextServer) -> None:
    @server.tool()
    async def test_tool_with_progress(ctx: Ctx) -> CallToolResult:
        """Progress in three steps."""
        for step in (0, 50, 100):
            await ctx.report_progress(step, 100)
            await anyio.sleep(PAUSE)
        return words("Done.")

    async def log(ctx: Ctx) -> CallToolResult:
        for what in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await ctx.session.send_log_message("info", what, related_request_id=ctx.request_context.request_id)
            await anyio.sleep(PAUSE)
        return words("Logged.")

    server.add_tool(log, name="test_tool_with_logging", description="Three log messages.")
    server.add_tool(log, name="test_logging_tool", description="Three log messages.")

    @server.tool()
    async def test_reconnection(ctx: Ctx) -> CallToolResult:
        """Closes its stream before its result."""
        if ctx.request_context.close_sse_stream:
            await ctx.request_context.close_sse_stream()
        await anyio.sleep(2 * PAUSE)
        return words("Reconnected.")


def _add_asking(server: ContextServer) -> None:
    @server.tool()
    async def test_sampling(ctx: Ctx, prompt: str) -> CallToolResult:
        """Asks the client's model."""
        capabilities = ctx.session.client_capabilities
        if capabilities is None or capabilities.sampling is None:
            raise ToolError("This client has no sampling.")
        message = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
        reply = await ctx.session.create_message(
            [message], max_tokens=100, related_request_id=ctx.request_context.request_id
        )
        return words(f"LLM response: {getattr(reply.content, 'text', '')}")

    @server.tool()
    async def test_elicitation(ctx: Ctx, message: str) -> CallToolResult:
        """Asks the user."""
        fields = {"username": TEXT | {"description": "User's response"}, "email": TEXT | {"description": "An address"}}
        return words(f"User response: {await elicited(ctx, message, fields, ['username', 'email'])}")

    @server.tool()
    async def test_elicitation_sep1034_defaults(ctx: Ctx) -> CallToolResult:
        """Asks with defaults."""
        return words(f"Elicitation completed: {await elicited(ctx, 'Please review.', DEFAULTS, [])}")

    @server.tool()
    async def test_elicitation_sep1330_enums(ctx: Ctx) -> CallToolResult:
        """Asks with choices."""
        return words(f"Elicitation completed: {await elicited(ctx, 'Please choose.', ENUMS, [])}")

    @server.tool()
    async def test_missing_capability(ctx: Ctx) -> CallToolResult:
        """Needs sampling."""
        capabilities = ctx.session.client_capabilities
        if capabilities is None or capabilities.sampling is None:
            data: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
            raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "This needs sampling.", data)
        return words("It is there.")


def _add_changing(server: ContextServer) -> None:
    @server.tool()
    async def test_trigger_tool_change(ctx: Ctx) -> CallToolResult:
        """Says that the tools changed."""
        await ctx.notify_tools_changed()
        return words("Told.")

    @server.tool()
    async def test_trigger_prompt_change(ctx: Ctx) -> CallToolResult:
        """Says that the prompts changed."""
        await ctx.notify_prompts_changed()
        return words("Told.")
