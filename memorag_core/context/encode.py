"""Encode documents as a context: chunk and index them, so that they can be searched; then memorize the texts."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from memorag_core.concurrency.cancellation import raise_if_cancelled, run_leavable
from memorag_core.concurrency.progress import ProgressScope
from memorag_core.context.corpus import Context
from memorag_core.context.files import write_texts
from memorag_core.context.manifest import Manifest
from memorag_core.errors import InputError
from memorag_core.text.chunking import Count, sections
from memorag_core.text.passages import passages
from memorag_core.text.standing import CHUNKING, Standing
from memorag_core.types import Chunk, Document

if TYPE_CHECKING:
    from memorag_core.components import Components
    from memorag_core.retrieval.base import Indexer, S

LOADED_SHARE = 0.02
EVIDENCE_SHARE = 0.1
ATTENTION_SHARE = 0.35
"""Where of the whole work the models are loaded, the context can be searched, and its attention keys are there."""
MOST_PASSAGES = 200_000
"""Of a context: 50 million characters of prose have 80,000. Collecting garbage holds all threads for half a microsecond
for each of them, and their vectors are to fit into memory."""
T = TypeVar("T")


def key_of(documents: Sequence[Document], recipe: dict[str, Any]) -> str:
    """Compute the digest of all that decides a context: its texts, their titles and pages, and the recipe."""
    texts = [_digest(document) for document in documents]
    return hashlib.sha256(json.dumps([texts, recipe], sort_keys=True).encode()).hexdigest()


def index(
    documents: Sequence[Document],
    components: Components,
    folder: Path,
    progress: ProgressScope,
    before: Context | None = None,
) -> Manifest:
    """Chunk and index documents into an empty folder; returns the manifest of a context that can be searched.

    Args:
        before: what the context was until now; chunks and vectors of what it shares with `documents` are kept.
    """
    started = time.monotonic()
    recipe = before.manifest.recipe if before else components.recipe
    chunks = _chunks(documents, components, _pause_between(components.retriever.count, progress), before)
    entries = write_texts(folder, documents, chunks)
    indexing = progress.stage("indexing", LOADED_SHARE, EVIDENCE_SHARE)
    old, new = _texts(before), [chunk.indexed for chunk in chunks]
    _index(components.retriever, before.index if before else None, old, new, indexing).save(folder)
    seconds = time.monotonic() - started + (before.manifest.encode_seconds if before else 0.0)
    return Manifest(
        key=key_of(documents, recipe),
        title=documents[0].title,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=recipe,
        documents=entries,
        chunks=len(chunks),
        memory_tokens=0,
        encode_seconds=round(seconds, 3),
        ready="evidence",
        files={},
    )


def remember(
    context: Context, components: Components, folder: Path, progress: ProgressScope, before: Context | None = None
) -> Manifest:
    """Add attention keys and memory to a folder that has the files of a context; returns the manifest of the whole.

    Args:
        before: what the context was when it last had a memory; of what it shares with `context`, nothing is read again.
    """
    started = time.monotonic()
    attending = progress.stage("memorizing", EVIDENCE_SHARE, ATTENTION_SHARE)
    memorizing = progress.stage("memorizing", ATTENTION_SHARE, 1.0)
    if components.attention:
        known = before.attention if before else None
        _index(components.attention, known, _texts(before), _texts(context), attending).save(folder)
    if before is None or before.memory is None:
        memory = components.memory.memorize(context.documents, memorizing)
    else:
        memory = components.memory.update(before.memory, before.documents, context.documents, memorizing)
        memorizing.step(1, 1)
    components.memory.save(memory, folder)
    seconds = context.manifest.encode_seconds + time.monotonic() - started
    change = {"ready": "memory", "memory_tokens": memory.tokens, "encode_seconds": round(seconds, 3)}
    return context.manifest.model_copy(update=change)


def _texts(context: Context | None) -> list[str]:
    return [chunk.indexed for chunk in context.chunks] if context else []


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
    chunking = before.manifest.chunking if before else CHUNKING
    known: dict[Document, list[Chunk]] = {}
    by_id = {document.id: document for document in before.documents} if before else {}
    for chunk in before.chunks if before else ():
        known.setdefault(by_id[chunk.document_id], []).append(chunk)
    return _check_number(
        chunk
        for document in documents
        for chunk in known.get(document) or cut(document, components.chunk_tokens, count, chunking)
    )


def cut(document: Document, limit: int, count: Count, chunking: str = CHUNKING) -> list[Chunk]:
    """Cut a document into chunks: passages of at most `limit` tokens, which know what `Standing` of that time does."""
    _check_number(sections(document.text))
    standing = run_leavable(partial(Standing.of, document, chunking))
    spans = passages(document.text, limit, count, document.pages)
    return _check_number(standing.chunk(start, end) for start, end in spans)


def _check_number(parts: Iterator[T]) -> list[T]:
    found = list(islice(parts, MOST_PASSAGES + 1))
    if len(found) > MOST_PASSAGES:
        raise InputError(
            f"The text falls into more than {MOST_PASSAGES:,} passages, as each heading begins one. Split it into "
            "several contexts, or leave out headings."
        )
    return found


def _digest(document: Document) -> str:
    digest = hashlib.sha256(document.text.encode())
    digest.update(f"\0{document.title}".encode())
    digest.update("".join(f"\0{start}" for start in document.pages).encode())  # no text holds a NUL
    return digest.hexdigest()
