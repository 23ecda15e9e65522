"""What a list of resources shows of contexts."""

from __future__ import annotations

from collections.abc import Sequence

from mcp.types import Resource

from memorag_core.types import ContextInfo
from memorag_mcp.schemas.contexts import ContextResult, context_uri

CHUNKS_A_PAGE = 40
JSON = "application/json"
TEXT = "text/plain"


def list_resources_of(contexts: Sequence[ContextInfo]) -> list[Resource]:
    """Every context, its documents, the first page of its chunks, and its summary."""
    return [resource for info in contexts for resource in _resources_of(info)]


def uris_of(context: ContextResult) -> list[str]:
    """What a change of a context changes: it, its first page of chunks, its summary, and its documents."""
    own = [context_uri(context.context_id, *rest) for rest in ((), ("chunks", "1"), ("summary",))]
    return [*own, *(document.uri for document in context.documents)]


def _resources_of(info: ContextInfo) -> list[Resource]:
    size = sum(document.characters for document in info.documents)
    about = (
        f"Memorized context '{info.id}': {len(info.documents)} document(s), {size:,} characters, "
        f"{info.chunks} chunks, {_memory_of(info)}; memory model {info.models['memory']}, "
        f"embedder {info.models['embedder']}; memorized {info.created}."
    )
    described = Resource(uri=context_uri(info.id), name=info.id, title=info.title, description=about, mime_type=JSON)
    texts = [
        Resource(
            uri=context_uri(info.id, "documents", document.id),
            name=f"{info.id}/{document.id}",
            title=document.title,
            description=f"Full text of '{document.id}' ({document.characters:,} characters) in context '{info.id}'.",
            mime_type=TEXT,
        )
        for document in info.documents
    ]
    chunks = Resource(
        uri=context_uri(info.id, "chunks", "1"),
        name=f"{info.id}/chunks/1",
        title=f"{info.title}: chunks",
        description=f"The {info.chunks} chunks of context '{info.id}' with their offsets, {CHUNKS_A_PAGE} a page.",
        mime_type=JSON,
    )
    summary = Resource(
        uri=context_uri(info.id, "summary"),
        name=f"{info.id}/summary",
        title=f"{info.title}: summary",
        description=f"A summary of context '{info.id}' with citations; written when first read.",
        mime_type=JSON,
    )
    return [described, *texts, chunks, summary]


def _memory_of(info: ContextInfo) -> str:
    return f"{info.memory_tokens:,} tokens of memory" if info.ready == "memory" else "its memory not made yet"


def pages(info: ContextInfo) -> int:
    """How many pages of chunks a context has."""
    return -(-info.chunks // CHUNKS_A_PAGE)
