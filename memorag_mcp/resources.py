"""Cached contexts as resources: each context, its documents' texts, and its chunks, a page at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.types import Resource

from memorag_core.engine import MemoRAG
from memorag_core.errors import MemoRAGError
from memorag_core.types import ContextInfo
from memorag_mcp.results import SCHEME, ContextResult, context_uri

CHUNKS_A_PAGE = 40
MAX_DIGITS = 9
JSON = "application/json"
TEXT = "text/plain"


def listed(contexts: Sequence[ContextInfo]) -> list[Resource]:
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
        f"{info.chunks} chunks, {info.memory_tokens:,} tokens of memory; memory model {info.models['memory']}, "
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


def pages(info: ContextInfo) -> int:
    """How many pages of chunks a context has."""
    return -(-info.chunks // CHUNKS_A_PAGE)


def add_templates(server: MCPServer[Any], engine: MemoRAG) -> None:
    @server.resource(f"{SCHEME}/{{context_id}}", mime_type=JSON, description="A memorized context: what it holds.")
    def context(context_id: str) -> str:
        try:
            return ContextResult.of(engine.info(context_id)).model_dump_json(indent=2)
        except MemoRAGError as error:
            raise ResourceNotFoundError(str(error)) from error

    @server.resource(
        f"{SCHEME}/{{context_id}}/documents/{{document_id}}",
        mime_type=TEXT,
        description="The full text of a document, verbatim.",
    )
    def document(context_id: str, document_id: str) -> str:
        try:
            texts = {document.id: document.text for document in engine.documents(context_id)}
        except MemoRAGError as error:
            raise ResourceNotFoundError(str(error)) from error
        if document_id not in texts:
            names = ", ".join(texts)
            raise ResourceNotFoundError(f"Context '{context_id}' has no document '{document_id}'; it has: {names}.")
        return texts[document_id]

    @server.resource(
        f"{SCHEME}/{{context_id}}/chunks/{{page}}",
        mime_type=JSON,
        description=f"Chunks with document, offsets and text, {CHUNKS_A_PAGE} a page, from page 1.",
    )
    def chunks(context_id: str, page: str) -> str:
        try:
            return _chunk_page(engine, context_id, page)
        except MemoRAGError as error:
            raise ResourceNotFoundError(str(error)) from error


def _chunk_page(engine: MemoRAG, context_id: str, page: str) -> str:
    chunks = engine.chunks(context_id)
    pages = -(-len(chunks) // CHUNKS_A_PAGE)
    if not page.isdecimal() or len(page) > MAX_DIGITS or not 1 <= int(page) <= pages:
        raise ResourceNotFoundError(
            f"Context '{context_id}' has pages 1 to {pages} of chunks, not {page[:MAX_DIGITS]!r}."
        )
    first = (int(page) - 1) * CHUNKS_A_PAGE
    shown = [
        {"document_id": chunk.document_id, "start": chunk.start, "end": chunk.end, "text": chunk.text}
        for chunk in chunks[first : first + CHUNKS_A_PAGE]
    ]
    following = context_uri(context_id, "chunks", str(int(page) + 1)) if int(page) < pages else None
    record = {"context_id": context_id, "page": int(page), "pages": pages, "next": following, "chunks": shown}
    return json.dumps(record, ensure_ascii=False)
