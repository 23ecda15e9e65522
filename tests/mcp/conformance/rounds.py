"""Fixtures that need more than one round: they return what they need of the client, and are called again with it."""

from __future__ import annotations

from typing import Any

from contents import words
from mcp.types import (
    CallToolResult,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)

from memorag_mcp.jobs.run import Ctx
from memorag_mcp.protocol.sdk_server import ContextServer

Round = InputRequiredResult | CallToolResult


def form(message: str, field: str, kind: str = "string") -> ElicitRequest:
    schema: dict[str, Any] = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(text: str, tokens: int = 100) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=tokens))


def need(state: str | None = None, /, **requests: InputRequest) -> InputRequiredResult:
    return InputRequiredResult(input_requests=requests, request_state=state)


def filled(ctx: Ctx, key: str) -> dict[str, Any] | None:
    """What the user filled in, if the client sent it."""
    answer = (ctx.input_responses or {}).get(key)
    return dict(answer.content or {}) if isinstance(answer, ElicitResult) else None


def add_rounds(server: ContextServer) -> None:
    """All of them."""
    _add_single(server)
    _add_with_state(server)

    @server.tool()
    async def test_input_required_result_capabilities(ctx: Ctx) -> Round:
        """Asks by what the client can."""
        capabilities = ctx.session.client_capabilities
        wanted: dict[str, InputRequest] = {}
        if capabilities and capabilities.sampling is not None:
            wanted["sampled"] = sample("What is the capital of France?")
        if capabilities and capabilities.elicitation is not None:
            wanted["asked"] = form("What is your name?", "name")
        return need(None, **wanted) if wanted and not ctx.input_responses else words("Done.")

    @server.prompt()
    async def test_input_required_result_prompt(ctx: Ctx) -> InputRequiredResult | str:
        """Asks before it prompts."""
        context = filled(ctx, "user_context")
        if context is None:
            return need(user_context=form("What context should the prompt use?", "context"))
        return f"Use this context: {context.get('context')}"


def _add_single(server: ContextServer) -> None:
    async def name(ctx: Ctx) -> Round:
        answer = filled(ctx, "user_name")
        if answer is None or "name" not in answer:
            return need(user_name=form("What is your name?", "name"))
        return words(f"Hello, {answer['name']}!")

    server.add_tool(name, name="test_input_required_result_elicitation", description="Asks for a name.")
    server.add_tool(name, name="test_streaming_elicitation", description="Asks for a name.")

    @server.tool()
    async def test_input_required_result_sampling(ctx: Ctx) -> Round:
        """Asks the client's model."""
        answer = (ctx.input_responses or {}).get("capital_question")
        if not isinstance(answer, CreateMessageResult):
            return need(capital_question=sample("What is the capital of France?"))
        return words(str(getattr(answer.content, "text", "")))

    @server.tool()
    async def test_input_required_result_list_roots(ctx: Ctx) -> Round:
        """Asks for roots."""
        answer = (ctx.input_responses or {}).get("client_roots")
        if not isinstance(answer, ListRootsResult):
            return need(client_roots=ListRootsRequest())
        return words("Roots: " + ", ".join(str(root.uri) for root in answer.roots))


def _add_with_state(server: ContextServer) -> None:
    async def confirm(ctx: Ctx) -> Round:
        if filled(ctx, "confirm") is None or ctx.request_state != "confirming":
            return need("confirming", confirm=form("Please confirm", "ok", "boolean"))
        return words("state-ok")

    server.add_tool(confirm, name="test_input_required_result_request_state", description="Keeps a state.")
    server.add_tool(confirm, name="test_input_required_result_tampered_state", description="Keeps a state.")

    @server.tool()
    async def test_input_required_result_multiple_inputs(ctx: Ctx) -> Round:
        """Asks three things at once."""
        answers = ctx.input_responses or {}
        if not {"user_name", "greeting", "client_roots"} <= answers.keys():
            return need(
                "three",
                user_name=form("What is your name?", "name"),
                greeting=sample("Generate a greeting", 50),
                client_roots=ListRootsRequest(),
            )
        return words("All three.")

    @server.tool()
    async def test_input_required_result_multi_round(ctx: Ctx) -> Round:
        """Asks one thing after the other."""
        if ctx.request_state is None or (ctx.request_state == "one" and filled(ctx, "step1") is None):
            return need("one", step1=form("Step 1: What is your name?", "name"))
        if ctx.request_state == "one":
            return need("two", step2=form("Step 2: What is your favorite color?", "color"))
        return words("Both steps.")
