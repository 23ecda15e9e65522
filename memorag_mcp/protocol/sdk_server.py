"""The SDK's server with what this one adds: jobs, tasks, changes that are told, and lists that come in pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.caching import CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import (
    INVALID_PARAMS,
    CallToolResult,
    InputRequiredResult,
    ListResourcesResult,
    ListToolsResult,
    PaginatedRequestParams,
    Prompt,
    Resource,
    TextContent,
    Tool,
)
from pydantic import ValidationError

from memorag_core.config import WORK
from memorag_core.engine import MemoRAG
from memorag_core.types import OnText
from memorag_mcp.jobs.call import Call
from memorag_mcp.jobs.job import JobRecord
from memorag_mcp.jobs.manager import Jobs, OnEnd
from memorag_mcp.jobs.pieces import tell_pieces
from memorag_mcp.jobs.run import Ctx, cancels_jobs, question_threads, run, run_job, takes_turns_for
from memorag_mcp.jobs.shared_records import open_records
from memorag_mcp.jobs.tasks_extension import Tasks
from memorag_mcp.protocol.apps import list_for
from memorag_mcp.protocol.arguments import as_declared
from memorag_mcp.protocol.stdio import serve_lines, serve_stdio
from memorag_mcp.protocol.subscriptions import Changes
from memorag_mcp.protocol.tool_schemas import list_shortly, unwrap
from memorag_mcp.schemas.contexts import JobResult, context_of
from memorag_mcp.schemas.resources import list_resources_of, uris_of
from memorag_mcp.schemas.text import links, outline, shorten

T = TypeVar("T")
RESOURCES_A_PAGE = 100
UNCHANGING = CacheHint(ttl_ms=3_600_000, scope="public")
OF_THIS_CLIENT = CacheHint(ttl_ms=3_600_000, scope="private")
CHANGING = CacheHint(ttl_ms=0, scope="private")


class ContextServer(MCPServer[Any]):
    """An MCP server whose list of resources is what the store holds at that moment, and whose long work is jobs."""

    def __init__(
        self,
        engine: MemoRAG,
        owner: str = "",
        for_host: Callable[[], str] = lambda: "",
        more: Sequence[Extension] = (),
        **options: Any,
    ) -> None:
        """Take the engine, who owns all that is in its store, if anybody does, more extensions, and the SDK's options.

        `for_host` is what the instructions tell the host that is served besides.
        """
        self.engine = engine
        self._for_host = for_host
        self.jobs = Jobs(open_records(engine.store.root / WORK / "jobs", engine.store.bucket))
        self.changes = Changes()
        self._question_threads = question_threads(engine.shared.device_queue.most)
        super().__init__(
            extensions=[Tasks(self.jobs, result_of), *more],
            middleware=[self._instruct, self.changes.middleware, cancels_jobs(self.jobs), takes_turns_for(owner)],
            subscriptions=self.changes.bus,
            cache_hints={
                "tools/list": OF_THIS_CLIENT,
                "prompts/list": UNCHANGING,
                "resources/templates/list": UNCHANGING,
                "resources/list": CHANGING,
                "resources/read": CHANGING,  # a tool may change it at any moment, and offsets are into what it is then
            },
            **options,
        )
        # the SDK's own handler knows no pages; its documentation names this object for what MCPServer lacks
        self._lowlevel_server.add_request_handler("resources/list", PaginatedRequestParams, self._resources_page)
        self._lowlevel_server.add_request_handler("tools/list", PaginatedRequestParams, self._tools_for_client)

    async def ask(self, work: Callable[[], T]) -> T:
        """Do work that takes its turn at the models, in a thread. Raises what `run` raises."""
        return await run(work, self._question_threads)

    async def ask_aloud(self, ctx: Ctx, work: Callable[[OnText], T]) -> T:
        """Do work that writes a text, as `ask` does; its pieces go to a client that asked for progress, as messages."""
        async with tell_pieces(ctx) as on_text:
            return await self.ask(lambda: work(on_text))

    async def long_work(self, ctx: Ctx, call: Call, wait_seconds: float | None = None) -> JobResult:
        """Do work that makes or changes a context: every such tool is this one call.

        Raises:
            ToolError: it failed before a handle was returned.
        """
        begin = partial(self.jobs.begin, call, self._notify_on_end())
        return JobResult.of(await run_job(self.jobs, ctx, begin, wait_seconds))

    async def resume(self, ctx: Ctx, job_id: str, wait_seconds: float | None = None) -> JobResult:
        """Do interrupted work again. Raises what `long_work` raises."""
        begin = partial(self.jobs.resume, job_id, self._notify_on_end())
        return JobResult.of(await run_job(self.jobs, ctx, begin, wait_seconds))

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Ctx | None = None
    ) -> CallToolResult | InputRequiredResult:
        """A tool's result, with its text for people and links to what it names; its error in our own words alone."""
        if tool := self._tool_manager.get_tool(name):
            arguments = as_declared(tool.parameters, arguments)
        try:
            result = await super().call_tool(name, arguments, context)
        except ToolError as error:
            raise _plain(error) from error
        if isinstance(result, InputRequiredResult) or result.structured_content is None or result.is_error:
            return result
        if any(block.type == "image" for block in result.content):
            return result
        return show(result.structured_content)

    async def list_tools(self) -> list[Tool]:
        """Every tool, told shortly."""
        return list_shortly(await super().list_tools())

    async def list_prompts(self) -> list[Prompt]:
        """Every prompt, told likewise."""
        prompts = await super().list_prompts()
        return [one.model_copy(update={"description": unwrap(one.description)}) for one in prompts]

    async def list_resources(self) -> list[Resource]:
        """Every context, its documents, its chunks and its summary; the page is found by the tools that it shows."""
        return list_resources_of(await run(self.engine.contexts))

    async def run_stdio_async(self) -> None:
        """Serve one client over standard input and output."""
        await serve_stdio(self._lowlevel_server, self.jobs.close)

    async def run_lines_async(self, lines: Any) -> None:
        """Serve one client over lines, read from and written to as files are."""
        await serve_lines(self._lowlevel_server, lines, lines)

    async def _instruct(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Tell a host in the instructions what holds for it alone."""
        result = await call_next(ctx)
        if ctx.method not in {"initialize", "server/discover"}:
            return result
        assert isinstance(result, dict)
        return {**result, "instructions": f"{result['instructions']}{self._for_host()}"}

    async def _resources_page(
        self, ctx: ServerRequestContext[Any, Any], params: PaginatedRequestParams
    ) -> ListResourcesResult:
        resources = await self.list_resources()
        after = _place(params.cursor)
        first = next((n for n, resource in enumerate(resources) if resource.uri == after), -1) + 1
        page = resources[first : first + RESOURCES_A_PAGE]
        more = first + RESOURCES_A_PAGE < len(resources)
        return ListResourcesResult(resources=page, next_cursor=_cursor(page[-1].uri) if more else None)

    async def _tools_for_client(
        self, ctx: ServerRequestContext[Any, Any], params: PaginatedRequestParams
    ) -> ListToolsResult:
        return ListToolsResult(tools=list_for(await self.list_tools(), ctx))

    def _notify_on_end(self) -> OnEnd:
        tell = self.changes.teller()

        def notify(record: JobRecord) -> None:
            if context := context_of(record):
                tell(uris_of(context))

        return notify


def show(structured: dict[str, Any]) -> CallToolResult:
    """A result for programs, complete on its own, and for people: an outline, with links to resources."""
    text = TextContent(type="text", text=shorten(outline(structured)))
    return CallToolResult(content=[text, *links(structured)], structured_content=structured)


def result_of(record: JobRecord) -> CallToolResult:
    """What the tool that began a job returns, now that it is done."""
    result = JobResult.of(record)
    return show(result.model_dump(mode="json") if result.context else record.result or {})


def _plain(error: ToolError) -> ToolError:
    """An error without what the SDK puts before it; of arguments, what is wrong with each."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in cause.errors())
        return ToolError(f"These arguments cannot be used: {wrong}.")
    return ToolError(str(cause)) if isinstance(cause, ToolError) else error


def _cursor(uri: str) -> str:
    return base64.urlsafe_b64encode(uri.encode()).decode()


def _place(cursor: str | None) -> str | None:
    """The URI behind a cursor of ours. Where it is gone by now, the list begins again."""
    try:
        return None if cursor is None else base64.urlsafe_b64decode(cursor.encode()).decode()
    except (binascii.Error, ValueError) as error:
        raise MCPError(INVALID_PARAMS, "The cursor is not one of this server. List again without a cursor.") from error
