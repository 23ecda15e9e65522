"""Encode documents as a context: chunk them, index the chunks, memorize the texts."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memorag_core.concurrency.cancellation import raise_if_cancelled, run_leavable
from memorag_core.concurrency.progress import ProgressScope
from memorag_core.context.corpus import Context
from memorag_core.context.files import write_texts
from memorag_core.context.manifest import Manifest
from memorag_core.text.chunking import Count, passages
from memorag_core.text.standing import Standing
from memorag_core.types import Chunk, Document

if TYPE_CHECKING:
    from memorag_core.components import Components
    from memorag_core.retrieval.base import Indexer, S, Stored

LOADED_SHARE = 0.02
INDEX_SHARE = 0.35


def key_of(documents: Sequence[Document], recipe: dict[str, Any]) -> str:
    """Compute the digest of all that decides a context: its texts, their titles and pages, and the recipe."""
    texts = [_digest(document) for document in documents]
    return hashlib.sha256(json.dumps([texts, recipe], sort_keys=True).encode()).hexdigest()


def encode(
    documents: Sequence[Document],
    components: Components,
    folder: Path,
    progress: ProgressScope,
    before: Context | None = None,
) -> Manifest:
    """Chunk, index and memorize documents into an empty folder; returns its manifest, files not yet listed.

    Args:
        before: what the context was until now; chunks, vectors and memory of what it shares with `documents` are kept.
    """
    started = time.monotonic()
    chunks = _chunks(documents, components, _pause_between(components.retriever.count, progress), before)
    entries = write_texts(folder, documents, chunks)
    indexing = progress.stage("indexing", LOADED_SHARE, INDEX_SHARE)
    memorizing = progress.stage("memorizing", INDEX_SHARE, 1.0)
    for index in _indexes(components, [chunk.indexed for chunk in chunks], before, indexing):
        index.save(folder)
    if before is None:
        memory = components.memory.memorize(documents, memorizing)
    else:
        memory = components.memory.update(before.memory, before.documents, documents, memorizing)
        memorizing.step(1, 1)
    components.memory.save(memory, folder)
    seconds = time.monotonic() - started + (before.manifest.encode_seconds if before else 0.0)
    return Manifest(
        key=key_of(documents, components.recipe),
        title=documents[0].title,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=components.recipe,
        documents=entries,
        chunks=len(chunks),
        memory_tokens=memory.tokens,
        encode_seconds=round(seconds, 3),
        files={},
    )


def _indexes(
    components: Components, new: Sequence[str], before: Context | None, progress: ProgressScope
) -> Iterator[Stored]:
    """Make the retriever's index, then that of attention if there is one; what was read before is not read again."""
    old = [chunk.indexed for chunk in before.chunks] if before else []
    parts = progress.split(2 if components.attention else 1)
    yield _index(components.retriever, before.index if before else None, old, new, parts[0])
    if components.attention:
        yield _index(components.attention, before.attention if before else None, old, new, parts[-1])


def _index(indexer: Indexer[S], known: S | None, old: Sequence[str], new: Sequence[str], progress: ProgressScope) -> S:
    return indexer.index(new, progress) if known is None else indexer.update(known, old, new, progress)


def _pause_between(count: Count, progress: ProgressScope) -> Count:
    """Count as before, and between two counts hear of a cancel, and let those go first who wait for the models."""

    def count_next(texts: Sequence[str]) -> list[int]:
        raise_if_cancelled()
        progress.pause()
        return count(texts)

    return count_next


def _chunks(documents: Sequence[Document], components: Components, count: Count, before: Context | None) -> list[Chunk]:
    """Cut all documents into chunks, in order; the chunks of a document that was there before are kept."""
    known: dict[Document, list[Chunk]] = {}
    by_id = {document.id: document for document in before.documents} if before else {}
    for chunk in before.chunks if before else ():
        known.setdefault(by_id[chunk.document_id], []).append(chunk)
    return [
        chunk
        for document in documents
        for chunk in known.get(document) or cut(document, components.chunk_tokens, count)
    ]


def cut(document: Document, limit: int, count: Count) -> list[Chunk]:
    """Cut a document into chunks: passages of at most `limit` tokens, none of which crosses a heading."""
    standing = run_leavable(partial(Standing.of, document))
    spans = passages(document.text, limit, count, document.pages)
    return [standing.chunk(span.start, span.end) for span in spans]


def _digest(document: Document) -> str:
    digest = hashlib.sha256(document.text.encode())
    digest.update(f"\0{document.title}".encode())
    digest.update("".join(f"\0{start}" for start in document.pages).encode())  # no text holds a NUL
    return digest.hexdigest()
