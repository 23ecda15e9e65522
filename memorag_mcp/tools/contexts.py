"""The tools that make, change, list and forget contexts."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import Field

from memorag_core.engine import MemoRAG, Places
from memorag_core.types import ContextInfo, OnReady
from memorag_mcp.inputs import ReadLimits, from_here
from memorag_mcp.jobs.job import Job
from memorag_mcp.jobs.run import Ctx
from memorag_mcp.jobs.run import run as run_work
from memorag_mcp.protocol.apps import SHOWN_BY_PAGE
from memorag_mcp.protocol.sdk_server import ContextServer
from memorag_mcp.schemas.contexts import ContextResult, ContextsResult, ForgottenResult, JobResult, context_uri, page_of
from memorag_mcp.tools.calls import AddDocuments, MemorizeContext, RemoveDocument, SyncContext
from memorag_mcp.tools.fields import (
    FOLLOWS,
    LONGEST_NAME,
    READS,
    REMOVES,
    WRITES,
    ContextField,
    DocumentField,
    ExcludeField,
    IncludeField,
    NameField,
    PathField,
    TextField,
    TitleField,
    Wait,
)

LISTED_JOBS = 10


def add_memory_tools(server: ContextServer, engine: MemoRAG, may: ReadLimits) -> None:
    @server.tool(title="Memorize a context", annotations=WRITES)
    async def memorize_context(
        ctx: Ctx,
        text: TextField = "",
        path: PathField = "",
        name: NameField = "",
        title: TitleField = "",
        include: IncludeField = None,
        exclude: ExcludeField = None,
        wait_seconds: Wait = None,
    ) -> JobResult:
        """Read a long text, file or folder once into memory, and keep it for questions; for what is too long to read
        here, or will be asked about again. It can be asked in seconds; its memory follows, in minutes for a long text.
        Until then this returns status "working" and a job_id for memorize_status; `ready` says what can be used. The
        same content again is returned at once, of the same path what changed is read. Give a path rather than the text
        of a file. The other tools take the context_id."""
        path = await run_work(partial(from_here, path, may))
        call = MemorizeContext(text=text, path=path, title=title, include=include, exclude=exclude, name=name)
        return await server.long_work(ctx, call, wait_seconds)

    @server.jobs.register(MemorizeContext)
    def memorize(job: Job, call: MemorizeContext) -> ContextResult:
        name, tell = call.name or None, publishing(job)
        if documents := call.documents():
            return ContextResult.of(engine.memorize(documents, name, job.report, tell))
        return ContextResult.of(Places(engine, may.read).memorize(call.sources(may), name, job.report, tell))

    @server.tool(title="List contexts", annotations=READS, meta=SHOWN_BY_PAGE)
    async def list_contexts(
        after: Annotated[
            str, Field(max_length=LONGEST_NAME, description="The `next` of the page before, where there was one")
        ] = "",
    ) -> ContextsResult:
        """List memorized contexts, to see whether something has been memorized already: ids, titles, documents, sizes,
        models and dates; also what is being memorized now, and what failed or was interrupted, with what to do."""
        survey, jobs = await run_work(engine.survey), await run_work(server.jobs.unfinished)
        page = page_of(survey.contexts, after, jobs)
        return ContextsResult(
            contexts=page,
            next=page[-1].context_id if page and page[-1].context_id != survey.contexts[-1].id else None,
            jobs=[JobResult.of(record) for record in jobs[:LISTED_JOBS]],
            damaged=survey.damaged,
        )

    @server.tool(title="Forget a context", annotations=REMOVES)
    async def forget_context(context_id: ContextField) -> ForgottenResult:
        """Delete a memorized context from disk. It cannot be undone; the original files are not touched."""
        await run_work(lambda: engine.forget(context_id))
        await server.changes.tell([context_uri(context_id)])
        return ForgottenResult(forgotten=context_id)


def add_document_tools(server: ContextServer, engine: MemoRAG, may: ReadLimits) -> None:
    @server.tool(title="Add documents to a context", annotations=WRITES)
    async def add_documents(
        ctx: Ctx,
        context_id: ContextField,
        text: TextField = "",
        path: PathField = "",
        title: TitleField = "",
        include: IncludeField = None,
        exclude: ExcludeField = None,
        wait_seconds: Wait = None,
    ) -> JobResult:
        """Add a text, file or folder to a memorized context, which keeps its context_id. What it holds is not read
        again, and a text that it holds already is not added again. What has changed since it was read replaces what was
        read from there, under the same document_id; its notice says so. What is gone from there is removed."""
        path = await run_work(partial(from_here, path, may))
        call = AddDocuments(context_id=context_id, text=text, path=path, title=title, include=include, exclude=exclude)
        return await server.long_work(ctx, call, wait_seconds)

    @server.jobs.register(AddDocuments)
    def add(job: Job, call: AddDocuments) -> ContextResult:
        if documents := call.documents():
            return ContextResult.of(engine.add(call.context_id, documents, job.report, publishing(job)))
        places = Places(engine, may.read)
        return ContextResult.of(places.add(call.context_id, call.sources(may), job.report, publishing(job)))

    @server.tool(title="Follow changed files", annotations=FOLLOWS)
    async def sync_context(ctx: Ctx, context_id: ContextField, wait_seconds: Wait = None) -> JobResult:
        """Look again at the files and folders that a context was read from: what is new or changed is read, what is
        gone removed. Call it where files may have changed."""
        return await server.long_work(ctx, SyncContext(context_id=context_id), wait_seconds)

    @server.jobs.register(SyncContext)
    def sync(job: Job, call: SyncContext) -> ContextResult:
        return ContextResult.of(Places(engine, may.read).sync(call.context_id, job.report, publishing(job)))

    @server.tool(title="Remove a document from a context", annotations=REMOVES)
    async def remove_document(
        ctx: Ctx,
        context_id: ContextField,
        document_id: DocumentField,
        wait_seconds: Wait = None,
    ) -> JobResult:
        """Remove one document from a memorized context, which keeps its context_id. What stands behind the document
        is read again; the original file is not touched. To remove all, use forget_context."""
        call = RemoveDocument(context_id=context_id, document_id=document_id)
        return await server.long_work(ctx, call, wait_seconds)

    @server.jobs.register(RemoveDocument)
    def remove(job: Job, call: RemoveDocument) -> ContextResult:
        return ContextResult.of(engine.remove(call.context_id, call.document_id, job.report, publishing(job)))


def publishing(job: Job) -> OnReady:
    """Make the `OnReady` that tells a job's clients of a context whose memory is yet to be made."""

    def publish(info: ContextInfo) -> None:
        if info.ready == "evidence":
            job.publish(ContextResult.of(info))

    return publish
