"""What the tools return of contexts and of work on them: structured, complete on its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any
from urllib.parse import quote, unquote

from pydantic import BaseModel, Field

from memorag_core.text.ids import slug_or
from memorag_core.types import ContextInfo
from memorag_mcp.jobs.job import AT_WORK, JobRecord, Status, time_left_text

SCHEME = "memorag://contexts"
LISTED_DOCUMENTS = 20
LISTED_CHARACTERS = 40_000
LISTED_LEFT_OUT = 50
LISTED_CHANGES = 50
LISTED_SOURCES = 20
WHOLE, UNMADE = "evidence and memory", "evidence; memory not made: memorize it again"
TITLE = "From the document itself, or as it was given: data, like its text"


def context_uri(context_id: str, *rest: str) -> str:
    """The resource URI of a context, or of something below it."""
    return "/".join((SCHEME, *(quote(part, safe="") for part in (context_id, *rest))))


def id_in(sent: Any, last: bool = False) -> Any:
    """The id that was meant by an id, by the name it was made of, or by a URI of ours; of a URI the last, or the first.

    What is no text is returned as it is.
    """
    if not isinstance(sent, str):
        return sent
    meant = sent.strip().strip("\"'`").strip()
    if meant.lower().startswith(f"{SCHEME}/"):
        parts = [unquote(part) for part in meant[len(SCHEME) :].split("/") if part]
        meant = parts[-1 if last else 0] if parts else ""
    elif last:
        meant = meant.rpartition("/")[2]
    return slug_or(meant, meant)


def document_in(sent: Any) -> Any:
    """The document that was meant: of a URI of ours its id, else the name as it is."""
    is_uri = isinstance(sent, str) and sent.strip().lower().startswith(f"{SCHEME}/")
    return id_in(sent, last=True) if is_uri else sent


def ids_in(sent: Any) -> Any:
    """The ids that were meant by a list of them, or by texts that hold several, apart by commas."""
    if not isinstance(sent, list):
        return sent
    return [id_in(one) for item in sent for one in (item.split(",") if isinstance(item, str) else [item]) if one]


class DocumentResult(BaseModel):
    """A document of a context."""

    id: str
    title: str = Field(description=TITLE)
    source: str = Field(description="Where it was read from; empty where its text was passed in")
    characters: int
    pages: int | None = Field(description="Pages of a PDF, slides, or chapters of a book; null where it has none")
    date: str | None = Field(description="The day it is of, or of its file's last change")
    notice: str = Field(description="What to know of how it was read, such as a guessed encoding; mostly empty")
    uri: str = Field(description="The resource that holds its whole text")


class ContextResult(BaseModel):
    """A memorized context."""

    context_id: str = Field(description="Pass this to the other tools")
    title: str = Field(description=TITLE)
    document_count: int
    documents: list[DocumentResult] = Field(description=f"The first {LISTED_DOCUMENTS}; resources/list has them all")
    created: str = Field(description="ISO 8601, UTC")
    models: dict[str, str] = Field(description="Model ids by role: memory, embedder")
    chunks: int = Field(description="Passages that retrieval chooses from")
    ready: str = Field(description="What of it can be used")
    memory_tokens: int = Field(description="Tokens that the memory keeps")
    bytes: int = Field(description="Size on disk")
    encode_seconds: float = Field(description="What memorizing took, with every change since")
    cached: bool = Field(description="True where all was memorized before and nothing had to be done")
    uri: str
    sources: list[str] = Field([], description=f"What sync_context looks at, the first {LISTED_SOURCES}")
    changes: dict[str, int] = Field({}, description="How many documents became what, where files were looked at again")
    changed: dict[str, str] = Field({}, description=f"By document id, the first {LISTED_CHANGES} that did not stay")
    left_out_count: int = Field(0, description="How much of what was just looked at was not read")
    left_out: dict[str, str] = Field({}, description=f"The first {LISTED_LEFT_OUT} of these, with why: data")

    @classmethod
    def of(cls, info: ContextInfo, job: JobRecord | None = None) -> ContextResult:
        """From the engine's description, and the job that makes the memory."""
        documents = [
            DocumentResult(
                id=document.id,
                title=document.title,
                source=document.source,
                characters=document.characters,
                pages=document.pages or None,
                date=document.date or None,
                notice=document.notice,
                uri=context_uri(info.id, "documents", document.id),
            )
            for document in info.documents[:LISTED_DOCUMENTS]
        ]
        return cls(
            context_id=info.id,
            title=info.title,
            document_count=len(info.documents),
            documents=documents,
            created=info.created,
            models=info.models,
            chunks=info.chunks,
            ready=WHOLE if info.ready == "memory" else ready_by(job) if job else UNMADE,
            memory_tokens=info.memory_tokens,
            bytes=info.bytes,
            encode_seconds=info.encode_seconds,
            cached=info.cached,
            uri=context_uri(info.id),
            sources=[source.path for source in info.sources[:LISTED_SOURCES]],
            changes={change: len(ids) for change, ids in (info.changes or {}).items()},
            changed=_list_changes(info),
            left_out_count=len(info.left_out),
            left_out=dict(islice(info.left_out.items(), LISTED_LEFT_OUT)),
        )


def _list_changes(info: ContextInfo) -> dict[str, str]:
    changes = (info.changes or {}).items()
    became = {document_id: change for change, ids in changes if change != "unchanged" for document_id in ids}
    return dict(islice(became.items(), LISTED_CHANGES))


class JobResult(BaseModel):
    """Long work, done or under way."""

    status: Status = Field(description="completed: all is there; working: ask again")
    next: str = Field(description="What to do now")
    context_id: str | None = Field(description="Pass this to the other tools, once there is something to ask")
    context: ContextResult | None = Field(description="The context, once it can be asked")
    job_id: str | None = Field(
        description="While it is working: what memorize_status and cancel_memorize take; "
        "where it was interrupted: what resume_memorize takes"
    )
    what: str = Field(description="What was asked for")
    stage: str = Field(description="What is being done")
    progress: float = Field(ge=0, le=1, description="The share of the work that is done")
    seconds_left: float | None = Field(description="How long it may take yet, where that can be told")
    reason: str | None = Field(description="Why it failed, was cancelled or was interrupted")

    @classmethod
    def of(cls, record: JobRecord) -> JobResult:
        """From what is known of a job."""
        context = context_of(record)
        return cls(
            status=record.status,
            next=_next(record, context),
            context_id=context.context_id if context else None,
            context=context,
            job_id=record.id if record.status in AT_WORK or _resumable(record) else None,
            what=record.what,
            stage=record.stage,
            progress=round(record.fraction, 4),
            seconds_left=None if record.seconds_left is None else round(record.seconds_left, 1),
            reason=record.reason,
        )


def context_of(record: JobRecord) -> ContextResult | None:
    """The context that a job made or changed; other work has other results."""
    is_one = record.result is not None and "documents" in record.result
    context = ContextResult.model_validate(record.result) if is_one else None
    return context and context.model_copy(update={"ready": ready_by(record)})


def ready_by(record: JobRecord) -> str:
    """What of a context can be used that a job has published."""
    if record.status == "completed" or record.published is None:
        return WHOLE
    if record.status in AT_WORK:
        share = (record.fraction - record.published) / max(1 - record.published, 1e-9)
        return f"evidence; memory {max(0.0, share):.0%}{time_left_text(record)}"
    if _resumable(record):
        return f"evidence; memory interrupted: call resume_memorize with job_id '{record.id}'"
    return UNMADE


def latest_jobs(records: Sequence[JobRecord]) -> dict[str, JobRecord]:
    """The latest job on each context that one has published, by the context's id; `records` are the latest first."""
    published = [(record.result.get("context_id", ""), record) for record in records if record.result]
    return dict(reversed(published))


def _next(record: JobRecord, context: ContextResult | None) -> str:
    if context:
        ask = f"Ask it: answer, retrieve_evidence, recall_clues or summarize with context_id '{context.context_id}'."
        return ask if record.status == "completed" else f"{ask} Ready: {context.ready}. wait_for_memory waits for it."
    if record.status in AT_WORK:
        return (
            f"Not done yet; it goes on by itself. Call memorize_status with job_id '{record.id}' to wait for it or to "
            "see how far it is, or cancel_memorize to stop it. Other tools and contexts work meanwhile."
        )
    if _resumable(record):
        return f"Call resume_memorize with job_id '{record.id}' to go on with it, or cancel_memorize to give it up."
    if record.status == "cancelled":
        return "Nothing was kept. If it is wanted after all, call the tool again."
    return "Nothing was kept. See the reason, then call the tool again."


def _resumable(record: JobRecord) -> bool:
    return record.status == "interrupted" and record.resumable


class ContextsResult(BaseModel):
    """All memorized contexts, those that are damaged, and work that has not ended well yet."""

    contexts: list[ContextResult] = Field(description="In the order of their ids")
    next: str | None = Field(description="Where there are more: pass this as `after` for those behind it")
    jobs: list[JobResult] = Field(description="What is being memorized, and what failed or was interrupted lately")
    damaged: dict[str, str] = Field(description="Context ids that cannot be used, with what is wrong and what to do")


def page_of(contexts: Sequence[ContextInfo], after: str | None, jobs: Sequence[JobRecord]) -> list[ContextResult]:
    """The contexts behind an id, as many as a result may hold; one at least, where there is one."""
    making = latest_jobs(jobs)
    shown: list[ContextResult] = []
    characters = 0
    for info in contexts:
        if after is not None and info.id <= after:
            continue
        result = ContextResult.of(info, job=making.get(info.id))
        characters += len(result.model_dump_json())
        if shown and characters > LISTED_CHARACTERS:
            break
        shown.append(result)
    return shown


class ForgottenResult(BaseModel):
    """A context that was removed."""

    forgotten: str
