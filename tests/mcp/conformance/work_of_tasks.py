"""Fixtures of the Tasks extension: jobs of our server, as memorize_context is one."""

from __future__ import annotations

import threading
import time
from typing import ClassVar

from contents import words
from mcp.server.mcpserver.server import require_client_extension
from mcp.types import CallToolResult, InputRequiredResult
from pydantic import BaseModel
from rounds import filled, form, need

from memorag_core.concurrency.cancellation import poll_until
from memorag_core.errors import InputError
from memorag_mcp.jobs.call import Call
from memorag_mcp.jobs.job import Job
from memorag_mcp.jobs.run import Ctx
from memorag_mcp.jobs.tasks_extension import IDENTIFIER
from memorag_mcp.protocol.sdk_server import ContextServer
from memorag_mcp.schemas.contexts import JobResult


class Said(BaseModel):
    """A result."""

    text: str


class Slow(Call):
    """Arguments of most of these tools; each subclass is one tool."""

    @property
    def what(self) -> str:
        return self.tool


class Compute(Slow):
    tool: ClassVar[str] = "slow_compute"
    seconds: float
    label: str


class Fail(Slow):
    tool: ClassVar[str] = "failing_job"


class BreakDown(Slow):
    tool: ClassVar[str] = "protocol_error_job"


class Delete(Slow):
    tool: ClassVar[str] = "confirm_delete"
    filename: str


class AskTwice(Slow):
    tool: ClassVar[str] = "multi_input"


class Greet(Slow):
    tool: ClassVar[str] = "test_tool_with_task"
    name: str


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

    @server.jobs.register(Compute)
    def compute(job: Job, call: Compute) -> Said:
        wait(call.seconds)
        return Said(text=f"computed {call.label}")

    @server.tool()
    async def slow_compute(ctx: Ctx, seconds: float = 0, label: str = "") -> JobResult:
        """After a while."""
        return await server.long_work(ctx, Compute(seconds=seconds, label=label))

    @server.jobs.register(Fail)
    def fail(job: Job, call: Fail) -> Said:
        wait(1)
        raise InputError("This job fails on purpose.")

    @server.tool()
    async def failing_job(ctx: Ctx) -> JobResult:
        """Fails, and for clients with Tasks only."""
        require_client_extension(ctx.request_context, IDENTIFIER)
        return await server.long_work(ctx, Fail())

    @server.jobs.register(BreakDown)
    def break_down(job: Job, call: BreakDown) -> Said:
        wait(1)
        raise ZeroDivisionError

    @server.tool()
    async def protocol_error_job(ctx: Ctx) -> JobResult:
        """Breaks."""
        return await server.long_work(ctx, BreakDown())


def _add_asking(server: ContextServer) -> None:
    @server.jobs.register(Delete)
    def delete(job: Job, call: Delete) -> Said:
        return Said(text=str(job.ask({"confirm": wire(form(f"Delete {call.filename}?", "confirm", "boolean"))})))

    @server.tool()
    async def confirm_delete(ctx: Ctx, filename: str) -> JobResult:
        """Asks one thing while it works."""
        return await server.long_work(ctx, Delete(filename=filename))

    @server.jobs.register(AskTwice)
    def ask_twice(job: Job, call: AskTwice) -> Said:
        questions = {key: wire(form(f"What is your {key}?", key)) for key in ("name", "color")}
        return Said(text=str(job.ask(questions)))

    @server.tool()
    async def multi_input(ctx: Ctx) -> JobResult:
        """Asks two things while it works."""
        return await server.long_work(ctx, AskTwice())

    @server.jobs.register(Greet)
    def greet_later(job: Job, call: Greet) -> Said:
        wait(1)
        return Said(text=f"Hello, {call.name}!")

    @server.tool()
    async def test_tool_with_task(ctx: Ctx) -> InputRequiredResult | JobResult:
        """Asks first, then works."""
        answer = filled(ctx, "user_name")
        if answer is None:
            return need(user_name=form("What is your name?", "name"))
        require_client_extension(ctx.request_context, IDENTIFIER)
        return await server.long_work(ctx, Greet(name=answer["name"]))


def wire(request: BaseModel) -> dict[str, object]:
    return request.model_dump(mode="json", by_alias=True, exclude_none=True)
