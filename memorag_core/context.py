"""A context: how texts become one (chunked, indexed, memorized), how it lies in its folder, how it is read back."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from memorag_core.chunking import split
from memorag_core.clues import terms
from memorag_core.errors import IncompatibleContext
from memorag_core.manifest import DOCUMENTS, DocumentEntry, Manifest, damage
from memorag_core.types import Chunk, ContextInfo, Document, DocumentInfo, OnProgress, OnStep, Progress

if TYPE_CHECKING:
    from memorag_core.memory import Memory
    from memorag_core.parts import Parts
    from memorag_core.retrieval import Index

CHUNKS = "chunks.json"
LOADED_SHARE = 0.02
INDEX_SHARE = 0.15


@dataclass(frozen=True)
class Context:
    """Everything a question is asked of. Read only: any number of questions may use one at once."""

    id: str
    manifest: Manifest
    documents: tuple[Document, ...]
    chunks: tuple[Chunk, ...]
    index: Index
    memory: Memory

    @cached_property
    def bags(self) -> list[frozenset[str]]:
        """The terms of each chunk."""
        return [frozenset(terms(chunk.text)) for chunk in self.chunks]


def key_of(documents: Sequence[Document], recipe: dict[str, Any]) -> str:
    """The digest of all that decides a context's encoding: its texts and the recipe, not what they are called."""
    texts = [hashlib.sha256(document.text.encode()).hexdigest() for document in documents]
    return hashlib.sha256(json.dumps([texts, recipe], sort_keys=True).encode()).hexdigest()


def encode(documents: Sequence[Document], parts: Parts, folder: Path, on_progress: OnProgress) -> Manifest:
    """Chunk, index and memorize documents into an empty folder; returns its manifest, files not yet listed."""
    started = time.monotonic()
    chunks = [
        Chunk(document.id, start, end, document.text[start:end])
        for document in documents
        for start, end in split(document.text, parts.chunk_tokens, parts.retriever.count)
    ]
    entries = _write_texts(folder, documents, chunks)
    indexing = _stage("indexing", on_progress, LOADED_SHARE, INDEX_SHARE)
    parts.retriever.index([chunk.text for chunk in chunks], indexing).save(folder)
    memory = parts.memory.memorize(documents, _stage("memorizing", on_progress, INDEX_SHARE, 1.0))
    parts.memory.save(memory, folder, parts.storage)
    return Manifest(
        key=key_of(documents, parts.recipe),
        title=documents[0].title,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=parts.recipe,
        documents=entries,
        chunks=len(chunks),
        memory_tokens=memory.state.tokens,
        encode_seconds=round(time.monotonic() - started, 3),
        files={},
    )


def load(folder: Path, manifest: Manifest, parts: Parts) -> Context:
    """A context from its folder, every file verified.

    Raises:
        DamagedContext: a file is missing or altered.
        IncompatibleContext: it was memorized with other models or settings.
    """
    manifest.verify(folder)
    if manifest.recipe != json.loads(json.dumps(parts.recipe)):
        raise IncompatibleContext(_mismatch(folder.name, manifest.recipe, parts.recipe))
    try:
        documents = read_documents(folder, manifest)
        chunks = read_chunks(folder, documents)
        index, memory = parts.retriever.load(folder), parts.memory.load(folder)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise damage(folder, f"it cannot be read ({error})") from error
    return Context(folder.name, manifest, documents, chunks, index, memory)


def info_of(context_id: str, manifest: Manifest, cached: bool = False) -> ContextInfo:
    """What a list shows of a context."""
    return ContextInfo(
        id=context_id,
        title=manifest.title,
        documents=tuple(DocumentInfo(d.id, d.title, d.source, d.characters) for d in manifest.documents),
        created=manifest.created,
        models={role: manifest.recipe[role]["model"] for role in ("memory", "embedder")},
        chunks=manifest.chunks,
        memory_tokens=manifest.memory_tokens,
        bytes=sum(entry.bytes for entry in manifest.files.values()),
        encode_seconds=manifest.encode_seconds,
        cached=cached,
    )


def read_documents(folder: Path, manifest: Manifest) -> tuple[Document, ...]:
    """The documents of a context whose files are verified, to the letter.

    Raises:
        DamagedContext: a file is missing or is not UTF-8.
    """
    try:
        texts = [(folder / entry.file).read_bytes().decode() for entry in manifest.documents]
    except (OSError, UnicodeDecodeError) as error:
        raise damage(folder, f"it cannot be read ({error})") from error
    return tuple(Document(e.id, e.title, text, e.source) for e, text in zip(manifest.documents, texts, strict=True))


def read_chunks(folder: Path, documents: Sequence[Document]) -> tuple[Chunk, ...]:
    """The chunks of a context whose files are verified, cut from its documents.

    Raises:
        DamagedContext: their offsets cannot be read.
    """
    texts = {document.id: document.text for document in documents}
    try:
        offsets = json.loads((folder / CHUNKS).read_text(encoding="utf-8"))
        return tuple(Chunk(name, start, end, texts[name][start:end]) for name, start, end in offsets)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damage(folder, f"it cannot be read ({error})") from error


def _write_texts(folder: Path, documents: Sequence[Document], chunks: Sequence[Chunk]) -> tuple[DocumentEntry, ...]:
    """Write documents and chunk offsets; returns the manifest's entries for the documents."""
    (folder / DOCUMENTS).mkdir()
    entries = []
    for document in documents:
        name = f"{DOCUMENTS}/{document.id}.txt"
        (folder / name).write_bytes(document.text.encode())
        size = len(document.text)
        entries.append(
            DocumentEntry(id=document.id, title=document.title, source=document.source, file=name, characters=size)
        )
    offsets = [[chunk.document_id, chunk.start, chunk.end] for chunk in chunks]
    (folder / CHUNKS).write_text(json.dumps(offsets, ensure_ascii=False), encoding="utf-8")
    return tuple(entries)


def _stage(name: str, on_progress: OnProgress, start: float, end: float) -> OnStep:
    """Steps of one stage as progress of the whole job."""

    def on_step(done: int, total: int) -> None:
        on_progress(Progress(name, done, total, start + (end - start) * done / max(total, 1)))

    return on_step


def _mismatch(context_id: str, stored: dict[str, Any], used: dict[str, Any]) -> str:
    differing = sorted(part for part in stored.keys() | used.keys() if stored.get(part) != used.get(part))
    details = "; ".join(f"{part}: it has {stored.get(part)}, in use is {used.get(part)}" for part in differing)
    return (
        f"The context '{context_id}' was memorized with other models or settings than those in use ({details}). "
        "Start with the profile or models it was made with, or memorize its text again under another name."
    )
