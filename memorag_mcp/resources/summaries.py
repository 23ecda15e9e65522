"""Summaries as resources: written when first read, as jobs of the server, and kept while their context is as it was."""

from __future__ import annotations

import json
from collections.abc import Callable

from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError

from memorag_core.concurrency.lru import LRUCache
from memorag_mcp.jobs.job import Job, Record
from memorag_mcp.jobs.run import Ctx, follow, progress_text, run
from memorag_mcp.protocol.sdk_server import ContextServer
from memorag_mcp.schemas.answers import AnswerResult
from memorag_mcp.schemas.contexts import SCHEME, context_uri
from memorag_mcp.schemas.resources import JSON

KEPT = 64
SECONDS_TO_WAIT = 20.0


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

    def _begun(self, context_id: str, on_end: Callable[[Record], None]) -> Job:
        engine = self._server.engine
        key = (context_id, engine.info(context_id).created)
        job = self._jobs.get(key)
        if job and (not job.done or job.record.status == "completed"):
            return job

        def work(_: Job) -> AnswerResult:
            return AnswerResult.of([context_id], engine.summarize(context_id))

        return self._jobs.put(key, self._server.jobs.start(f"summarize {context_id}", work, on_end, recorded=False))


def add_summaries(server: ContextServer) -> None:
    """The resource `…/summary` of each context."""
    summaries = Summaries(server)

    @server.resource(
        f"{SCHEME}/{{context_id}}/summary",
        mime_type=JSON,
        description="A summary with citations, written when first read; it may say to read it again in a while.",
    )
    async def summary(context_id: str, ctx: Ctx) -> str:
        return await summaries.read(context_id, ctx)
