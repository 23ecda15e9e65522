"""The Tasks extension (io.modelcontextprotocol/tasks, SEP-2663): jobs as tasks, for clients that declare it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from anyio import to_thread
from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver.server import require_client_extension
from mcp.types import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    RequestParams,
    TextContent,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from memorag_core.errors import InputError
from memorag_mcp.jobs.job import JobRecord
from memorag_mcp.jobs.manager import Jobs
from memorag_mcp.jobs.run import as_tasks, progress_text

IDENTIFIER = "io.modelcontextprotocol/tasks"
LIFE_MS = 24 * 3600 * 1000
POLL_MS = 1000
RequestContext = ServerRequestContext[Any, Any]


class TaskParams(RequestParams):
    """Which task."""

    task_id: str = Field(alias="taskId")


class UpdateParams(TaskParams):
    """Answers to what a task asked."""

    input_responses: dict[str, Any] = Field(alias="inputResponses", default_factory=dict)


class Tasks(Extension):
    """Jobs that are not done at once are handed over as tasks; `result_of` makes the tool's result of a done one."""

    identifier = IDENTIFIER

    def __init__(self, jobs: Jobs, result_of: Callable[[JobRecord], CallToolResult]) -> None:
        self._jobs = jobs
        self._result_of = result_of

    def methods(self) -> Sequence[MethodBinding]:
        """tasks/get, tasks/update, tasks/cancel."""
        versions = frozenset(MODERN_PROTOCOL_VERSIONS)
        return [
            MethodBinding("tasks/get", TaskParams, self._get, versions),
            MethodBinding("tasks/update", UpdateParams, self._update, versions),
            MethodBinding("tasks/cancel", TaskParams, self._cancel, versions),
        ]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: RequestContext, call_next: CallNext
    ) -> HandlerResult:
        """The call's own result, or the task that its job has become."""
        capabilities = ctx.session.client_capabilities
        declared = capabilities.extensions if capabilities else None
        if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS or IDENTIFIER not in (declared or {}):
            return await call_next(ctx)
        with as_tasks() as jobs:
            result = await call_next(ctx)
        return {"resultType": "task", **_facts(jobs[0].record)} if jobs else result

    async def _get(self, ctx: RequestContext, params: TaskParams) -> HandlerResult:
        record = await self._record(ctx, params)
        answer: dict[str, Any] = {"resultType": "complete", **_facts(record)}
        if record.status == "input_required" and (job := self._jobs.find(record.id)):
            answer["inputRequests"] = dict(job.questions)
        elif answer["status"] == "completed":
            result = self._failure(record) if record.status == "failed" else self._result_of(record)
            answer["result"] = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        elif answer["status"] == "failed":
            answer["error"] = {"code": INTERNAL_ERROR, "message": record.reason or "It failed."}
        return answer

    async def _update(self, ctx: RequestContext, params: UpdateParams) -> HandlerResult:
        await self._record(ctx, params)
        if job := self._jobs.find(params.task_id):
            job.answer(params.input_responses)
        return {"resultType": "complete"}

    async def _cancel(self, ctx: RequestContext, params: TaskParams) -> HandlerResult:
        await self._record(ctx, params)
        try:
            await to_thread.run_sync(self._jobs.cancel, params.task_id)
        except InputError as error:
            raise MCPError(INVALID_PARAMS, str(error)) from error
        return {"resultType": "complete"}

    async def _record(self, ctx: RequestContext, params: TaskParams) -> JobRecord:
        """What is known of a task, read in a thread: files are locked for it."""
        require_client_extension(ctx, IDENTIFIER)
        named = ctx.request.headers.get("mcp-name") if ctx.request else None
        if named is not None and named.strip() != params.task_id:
            raise MCPError(HEADER_MISMATCH, "The header Mcp-Name names another task than params.taskId.")
        try:
            return await to_thread.run_sync(self._jobs.record, params.task_id)
        except InputError as error:
            raise MCPError(INVALID_PARAMS, str(error)) from error

    @staticmethod
    def _failure(record: JobRecord) -> CallToolResult:
        return CallToolResult(content=[TextContent(type="text", text=record.reason or "It failed.")], is_error=True)


def _facts(record: JobRecord) -> dict[str, Any]:
    """A `Task`. What a tool refused is a completed task whose result is an error; failed is for broken work."""
    lost = record.broken or record.status == "interrupted"
    completed = record.status in {"completed", "failed"} and not lost
    return {
        "taskId": record.id,
        "status": "failed" if lost else "completed" if completed else record.status,
        "statusMessage": record.reason or progress_text(record),
        "createdAt": record.created,
        "lastUpdatedAt": record.updated,
        "ttlMs": LIFE_MS,
        "pollIntervalMs": POLL_MS,
    }
