"""Summaries as resources: written when first read, as jobs of the server, and kept while their context is as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import ClassVar

from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError

from memorag_core.concurrency.lru import LRUCache
from memorag_mcp.jobs.call import Call
from memorag_mcp.jobs.job import Job, JobRecord
from memorag_mcp.jobs.run import Ctx, follow, progress_text, run
from memorag_mcp.protocol.sdk_server import ContextServer
from memorag_mcp.schemas.answers import AnswerResult
from memorag_mcp.schemas.contexts import SCHEME, context_uri
from memorag_mcp.schemas.resources import JSON

KEPT = 64
SECONDS_TO_WAIT = 20.0


class SummarizeContext(Call):
    """A summary to write; it is not kept where its server ends, as whoever reads the resource again begins it anew."""

    tool: ClassVar[str] = "summarize"
    recorded: ClassVar[bool] = False
    context_id: str

    @property
    def what(self) -> str:
        return f"summarize {self.context_id}"


class Summaries:
    """The latest summaries, one for each state of a context, done or being written."""

    def __init__(self, server: ContextServer) -> None:
        self._server = server
        self._jobs: LRUCache[tuple[str, str], Job] = LRUCache(KEPT)

    async def read(self, context_id: str, ctx: Ctx) -> str:
        """The summary; or, where it takes long, how far it is. Subscribers hear when it is there."""
        tell = self._server.changes.teller()
        try:
            job = await run(lambda: self._begun(context_id, lambda _: tell([context_uri(context_id, "summary")])))
        except ToolError as error:
            raise ResourceNotFoundError(str(error)) from error
        await follow(job, ctx, SECONDS_TO_WAIT)
        record = job.record
        if record.status == "completed":
            return json.dumps(record.result, ensure_ascii=False)
        if job.done:
            raise ResourceError(record.reason or record.status)
        return json.dumps({"status": "working", "next": "Read this again in a while.", "at": progress_text(record)})

    def _begun(self, context_id: str, on_end: Callable[[JobRecord], None]) -> Job:
        key = (context_id, self._server.engine.store.manifest(context_id).seal)
        job = self._jobs.get(key)
        if job and (not job.done or job.record.status == "completed"):
            return job
        return self._jobs.put(key, self._server.jobs.begin(SummarizeContext(context_id=context_id), on_end))


def add_summaries(server: ContextServer) -> None:
    """The resource `…/summary` of each context."""
    summaries = Summaries(server)

    @server.jobs.register(SummarizeContext)
    def summarize(_: Job, call: SummarizeContext) -> AnswerResult:
        return AnswerResult.of([call.context_id], server.engine.summarize(call.context_id))

    @server.resource(
        f"{SCHEME}/{{context_id}}/summary",
        mime_type=JSON,
        description="A summary with citations, written when first read; it may say to read it again in a while.",
    )
    async def summary(context_id: str, ctx: Ctx) -> str:
        return await summaries.read(context_id, ctx)
