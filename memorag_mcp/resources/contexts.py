"""Cached contexts as resources: each context, its documents' texts, and its chunks, a page at a time."""

from __future__ import annotations

import json

from mcp.server.mcpserver.exceptions import ResourceNotFoundError

from memorag_core.engine import MemoRAG
from memorag_core.errors import MemoRAGError, quote_name
from memorag_mcp.protocol.sdk_server import ContextServer
from memorag_mcp.schemas.contexts import SCHEME, ContextResult, context_uri, latest_jobs
from memorag_mcp.schemas.resources import CHUNKS_A_PAGE, JSON, TEXT

MAX_DIGITS = 9


def add_templates(server: ContextServer, engine: MemoRAG) -> None:
    @server.resource(f"{SCHEME}/{{context_id}}", mime_type=JSON, description="A memorized context: what it holds.")
    def context(context_id: str) -> str:
        try:
            info = engine.info(context_id)
            job = latest_jobs(server.jobs.unfinished()).get(info.id) if info.ready == "evidence" else None
            return ContextResult.of(info, job=job).model_dump_json(indent=2)
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
            names = ", ".join(map(quote_name, texts))
            raise ResourceNotFoundError(
                f"Context {quote_name(context_id)} has no document {quote_name(document_id)}; it has: {names}."
            )
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
