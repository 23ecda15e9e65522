"""The tools that ask about long work and stop it, for clients that have neither progress nor Tasks."""

from __future__ import annotations

from typing import Annotated

import anyio
from mcp.types import ToolAnnotations
from pydantic import BeforeValidator, Field

from memorag_mcp.jobs.job import AT_WORK
from memorag_mcp.jobs.run import Ctx, follow, run
from memorag_mcp.protocol.sdk_server import ContextServer
from memorag_mcp.schemas.contexts import JobResult
from memorag_mcp.tools.fields import READS, WRITES, Wait

MAX_WAIT = 50.0
SECONDS_TO_STOP = 30.0
SECONDS_BETWEEN_LOOKS = 0.5

JobId = Annotated[
    str,
    BeforeValidator(lambda sent: sent.strip(" \"'`") if isinstance(sent, str) else sent),
    Field(max_length=64, description="The job_id that a tool returned or list_contexts shows"),
]
STOPS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)


def add_job_tools(server: ContextServer) -> None:
    """memorize_status and cancel_memorize."""
    jobs = server.jobs

    @server.tool(title="Ask about long work", annotations=READS)
    async def memorize_status(
        ctx: Ctx,
        job_id: JobId,
        wait_seconds: Annotated[
            float, Field(ge=0, le=MAX_WAIT, description="Wait this long for its end before telling how far it is")
        ] = 10.0,
    ) -> JobResult:
        """Tell how far memorizing is: its progress and the time left, or the memorized context once it is done, or
        why it failed. Waits a while for the end, so call it again at once while the status is "working"."""
        if job := jobs.find(job_id):
            await follow(job, ctx, wait_seconds)
            return JobResult.of(job.record)
        until = anyio.current_time() + wait_seconds
        while (record := await run(lambda: jobs.record(job_id))).status in AT_WORK and anyio.current_time() < until:
            await anyio.sleep(SECONDS_BETWEEN_LOOKS)  # it is another server's on this store, which tells us nothing
        return JobResult.of(record)

    @server.tool(title="Resume long work", annotations=WRITES)
    async def resume_memorize(ctx: Ctx, job_id: JobId, wait_seconds: Wait = None) -> JobResult:
        """Go on with memorizing that was interrupted because the server ended; list_contexts and memorize_status name
        it. A path is read again; what was done is not."""
        return await server.resume(ctx, job_id, wait_seconds)

    @server.tool(title="Cancel long work", annotations=STOPS)
    async def cancel_memorize(ctx: Ctx, job_id: JobId) -> JobResult:
        """Stop memorizing, or give up what was interrupted. Nothing of it is kept but a context that can be asked
        already, which has no memory then; forget_context removes it."""
        job = jobs.find(job_id)
        record = await run(lambda: jobs.cancel(job_id))
        if job:
            await follow(job, ctx, SECONDS_TO_STOP)
        return JobResult.of(job.record if job else record)
