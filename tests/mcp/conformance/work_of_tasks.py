"""Fixtures of the Tasks extension: jobs of our server, as memorize_context is one."""

from __future__ import annotations

import threading
import time

from contents import words
from mcp.server.mcpserver.server import require_client_extension
from mcp.types import CallToolResult, InputRequiredResult
from pydantic import BaseModel
from rounds import filled, form, need

from memorag_core.concurrency.cancellation import poll_until
from memorag_core.errors import InputError
from memorag_mcp.jobs.job import Call, Job
from memorag_mcp.jobs.run import Ctx
from memorag_mcp.jobs.tasks_extension import IDENTIFIER
from memorag_mcp.protocol.sdk_server import ContextServer
from memorag_mcp.schemas.contexts import JobResult


class Said(BaseModel):
    """A result."""

    text: str


def wait(seconds: float) -> None:
    """Pass the time, ready to be stopped."""
    until = time.monotonic() + seconds
    poll_until(
        lambda step: threading.Event().wait(min(step, max(0.0, until - time.monotonic()))) or time.monotonic() >= until
    )


def add_tasks(server: ContextServer) -> None:
    """All of them."""
    _add_plain(server)
    _add_asking(server)


def _add_plain(server: ContextServer) -> None:
    @server.tool()
    def greet(name: str) -> CallToolResult:
        """At once."""
        return words(f"Hello, {name}!")

    @server.does("slow_compute")
    def compute(job: Job, seconds: float, label: str) -> Said:
        wait(seconds)
        return Said(text=f"computed {label}")

    @server.tool()
    async def slow_compute(ctx: Ctx, seconds: float = 0, label: str = "") -> JobResult:
        """After a while."""
        call = Call(tool="slow_compute", arguments={"seconds": seconds, "label": label})
        return await server.long_work(ctx, "compute", call)

    @server.does("failing_job")
    def fail(job: Job) -> Said:
        wait(1)
        raise InputError("This job fails on purpose.")

    @server.tool()
    async def failing_job(ctx: Ctx) -> JobResult:
        """Fails, and for clients with Tasks only."""
        require_client_extension(ctx.request_context, IDENTIFIER)
        return await server.long_work(ctx, "fail", Call(tool="failing_job", arguments={}))

    @server.does("protocol_error_job")
    def break_down(job: Job) -> Said:
        wait(1)
        raise ZeroDivisionError

    @server.tool()
    async def protocol_error_job(ctx: Ctx) -> JobResult:
        """Breaks."""
        return await server.long_work(ctx, "break", Call(tool="protocol_error_job", arguments={}))


def _add_asking(server: ContextServer) -> None:
    @server.does("confirm_delete")
    def delete(job: Job, filename: str) -> Said:
        return Said(text=str(job.ask({"confirm": wire(form(f"Delete {filename}?", "confirm", "boolean"))})))

    @server.tool()
    async def confirm_delete(ctx: Ctx, filename: str) -> JobResult:
        """Asks one thing while it works."""
        return await server.long_work(ctx, "delete", Call(tool="confirm_delete", arguments={"filename": filename}))

    @server.does("multi_input")
    def ask_twice(job: Job) -> Said:
        questions = {key: wire(form(f"What is your {key}?", key)) for key in ("name", "color")}
        return Said(text=str(job.ask(questions)))

    @server.tool()
    async def multi_input(ctx: Ctx) -> JobResult:
        """Asks two things while it works."""
        return await server.long_work(ctx, "ask twice", Call(tool="multi_input", arguments={}))

    @server.does("test_tool_with_task")
    def greet_later(job: Job, name: str) -> Said:
        wait(1)
        return Said(text=f"Hello, {name}!")

    @server.tool()
    async def test_tool_with_task(ctx: Ctx) -> InputRequiredResult | JobResult:
        """Asks first, then works."""
        answer = filled(ctx, "user_name")
        if answer is None:
            return need(user_name=form("What is your name?", "name"))
        require_client_extension(ctx.request_context, IDENTIFIER)
        return await server.long_work(
            ctx, "greet", Call(tool="test_tool_with_task", arguments={"name": answer["name"]})
        )


def wire(request: BaseModel) -> dict[str, object]:
    return request.model_dump(mode="json", by_alias=True, exclude_none=True)
