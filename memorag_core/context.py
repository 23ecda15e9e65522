"""A context: how texts become one (chunked, indexed, memorized), how it lies in its folder, how it is read back."""

from __future__ import annotations

import hashlib
import json
import time
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from safetensors import SafetensorError

from memorag_core.chunking import Count, Section, passages, sections
from memorag_core.errors import IncompatibleContext
from memorag_core.links import Titles
from memorag_core.manifest import DOCUMENTS, DocumentEntry, Manifest, damage
from memorag_core.retrieval.base import share_of
from memorag_core.retrieval.surroundings import Surroundings
from memorag_core.texts import Texts
from memorag_core.types import Chunk, ContextInfo, Document, DocumentInfo, OnProgress, OnStep, Place, Progress

if TYPE_CHECKING:
    from memorag_core.memory import Kept
    from memorag_core.parts import Parts
    from memorag_core.retrieval import Index, Retriever
    from memorag_core.retrieval.attended import AttendedIndex

CHUNKS = "chunks.json"
LOADED_SHARE = 0.02
INDEX_SHARE = 0.35


@dataclass(frozen=True)
class Context:
    """Everything a question is asked of. Read only: any number of questions may use one at once."""

    id: str
    manifest: Manifest
    documents: tuple[Document, ...]
    chunks: tuple[Chunk, ...]
    indexes: tuple[Index, ...]
    memory: Kept

    @property
    def index(self) -> Index:
        """Finds chunks by what is asked for."""
        return self.indexes[0]

    @property
    def attention(self) -> AttendedIndex | None:
        """Finds chunks by what the memory model looks at."""
        return cast("AttendedIndex", self.indexes[1]) if len(self.indexes) > 1 else None

    @cached_property
    def texts(self) -> Texts:
        """The documents and chunks, to look words up in."""
        return Texts(self.documents, self.chunks)

    @cached_property
    def titles(self) -> Titles:
        """The titled sections."""
        return Titles(self.chunks)

    @cached_property
    def surroundings(self) -> Surroundings:
        """Which chunks stand near each other."""
        return Surroundings(self.chunks, {document.id: document.text for document in self.documents})

    def chunk_at(self, place: Place) -> int | None:
        """The number of the chunk in which a place begins; None where none of the chunks has it."""
        starts = self._starts[place.document_id]
        at = bisect(starts, (place.start, len(self.chunks))) - 1
        return starts[at][1] if at >= 0 and place.start < self.chunks[starts[at][1]].end else None

    @cached_property
    def _starts(self) -> dict[str, list[tuple[int, int]]]:
        """Where the chunks of each document begin, and their numbers, in order."""
        starts: dict[str, list[tuple[int, int]]] = {document.id: [] for document in self.documents}
        for number, chunk in enumerate(self.chunks):
            starts[chunk.document_id].append((chunk.start, number))
        return starts


def key_of(documents: Sequence[Document], recipe: dict[str, Any]) -> str:
    """The digest of all that decides a context: its texts, their pages and the recipe, not what they are called."""
    texts = [_digest(document) for document in documents]
    return hashlib.sha256(json.dumps([texts, recipe], sort_keys=True).encode()).hexdigest()


def encode(
    documents: Sequence[Document],
    parts: Parts,
    folder: Path,
    on_progress: OnProgress,
    before: Context | None = None,
) -> Manifest:
    """Chunk, index and memorize documents into an empty folder; returns its manifest, files not yet listed.

    Args:
        before: what the context was until now; chunks, vectors and memory of what it shares with `documents` are kept.
    """
    started = time.monotonic()
    chunks = _chunks(documents, parts, before)
    entries = _write_texts(folder, documents, chunks)
    texts = [chunk.indexed for chunk in chunks]
    indexing = _stage("indexing", on_progress, LOADED_SHARE, INDEX_SHARE)
    memorizing = _stage("memorizing", on_progress, INDEX_SHARE, 1.0)
    for index in _indexes(parts.readers, texts, before, indexing):
        index.save(folder)
    if before is None:
        memory = parts.memory.memorize(documents, memorizing)
    else:
        memory = parts.memory.update(before.memory, before.documents, documents, memorizing)
        memorizing(1, 1)
    parts.memory.save(memory, folder)
    seconds = time.monotonic() - started + (before.manifest.encode_seconds if before else 0.0)
    return Manifest(
        key=key_of(documents, parts.recipe),
        title=documents[0].title,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=parts.recipe,
        documents=entries,
        chunks=len(chunks),
        memory_tokens=memory.tokens,
        encode_seconds=round(seconds, 3),
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
        indexes, memory = tuple(reader.load(folder) for reader in parts.readers), parts.memory.load(folder)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise damage(folder, f"it cannot be read ({error})") from error
    return Context(folder.name, manifest, documents, chunks, indexes, memory)


def info_of(context_id: str, manifest: Manifest, cached: bool = False) -> ContextInfo:
    """What a list shows of a context."""
    return ContextInfo(
        id=context_id,
        title=manifest.title,
        documents=tuple(
            DocumentInfo(d.id, d.title, d.source, d.characters, len(d.pages), d.notice) for d in manifest.documents
        ),
        created=manifest.created,
        models={role: manifest.recipe[role]["model"] for role in ("memory", "embedder")},
        chunks=manifest.chunks,
        memory_tokens=manifest.memory_tokens,
        bytes=sum(entry.bytes for entry in manifest.files.values()),
        encode_seconds=manifest.encode_seconds,
        cached=cached,
    )


def info_in(folder: Path, manifest: Manifest) -> ContextInfo:
    """What a list shows of the context in a folder, whose files are there, each of its size."""
    manifest.check_sizes(folder)
    return info_of(folder.name, manifest)


def verified_documents(folder: Path, manifest: Manifest) -> tuple[Document, ...]:
    """`read_documents` of a folder that is not verified; nothing else is read."""
    manifest.verify(folder, DOCUMENTS)
    return read_documents(folder, manifest)


def verified_chunks(folder: Path, manifest: Manifest) -> tuple[Chunk, ...]:
    """`read_chunks` of a folder that is not verified; nothing else is read but its documents."""
    manifest.verify(folder, CHUNKS)
    return read_chunks(folder, verified_documents(folder, manifest))


def read_documents(folder: Path, manifest: Manifest) -> tuple[Document, ...]:
    """The documents of a context whose files are verified, to the letter.

    Raises:
        DamagedContext: a file is missing or is not UTF-8.
    """
    try:
        texts = [(folder / entry.file).read_bytes().decode() for entry in manifest.documents]
    except (OSError, UnicodeDecodeError) as error:
        raise damage(folder, f"it cannot be read ({error})") from error
    entries = zip(manifest.documents, texts, strict=True)
    return tuple(Document(e.id, e.title, text, e.source, e.pages, e.notice) for e, text in entries)


def read_chunks(folder: Path, documents: Sequence[Document]) -> tuple[Chunk, ...]:
    """The chunks of a context whose files are verified, cut from its documents.

    Raises:
        DamagedContext: their offsets cannot be read.
    """
    by_id = {document.id: (document.text, sections(document.text)) for document in documents}
    try:
        offsets = json.loads((folder / CHUNKS).read_text(encoding="utf-8"))
        return tuple(_chunk(name, start, end, by_id[name]) for name, start, end in offsets)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damage(folder, f"it cannot be read ({error})") from error


def _indexes(
    readers: Sequence[Retriever], texts: Sequence[str], before: Context | None, on_step: OnStep
) -> Iterator[Index]:
    """An index of each reader, one after the other; what was read before is not read again."""
    old = [chunk.indexed for chunk in before.chunks] if before else []
    for number, reader in enumerate(readers):
        step = share_of(number, len(readers), on_step)
        yield reader.update(before.indexes[number], old, texts, step) if before else reader.index(texts, step)


def _chunks(documents: Sequence[Document], parts: Parts, before: Context | None) -> list[Chunk]:
    """The chunks of all documents in their order; those of a document as it was before are kept."""
    known: dict[Document, list[Chunk]] = {}
    by_id = {document.id: document for document in before.documents} if before else {}
    for chunk in before.chunks if before else ():
        known.setdefault(by_id[chunk.document_id], []).append(chunk)
    return [
        chunk
        for document in documents
        for chunk in known.get(document) or cut(document, parts.chunk_tokens, parts.retriever.count)
    ]


def cut(document: Document, limit: int, count: Count) -> list[Chunk]:
    """The chunks of a document: passages of at most `limit` tokens, none of which crosses a heading."""
    spans = passages(document.text, limit, count)
    return [
        Chunk(document.id, span.start, span.end, document.text[span.start : span.end], span.title) for span in spans
    ]


def _chunk(name: str, start: int, end: int, document: tuple[str, list[Section]]) -> Chunk:
    text, parts = document
    section = parts[bisect(parts, start, key=lambda part: part.start) - 1]
    return Chunk(name, start, end, text[start:end], section.title)


def _write_texts(folder: Path, documents: Sequence[Document], chunks: Sequence[Chunk]) -> tuple[DocumentEntry, ...]:
    """Write documents and chunk offsets; returns the manifest's entries for the documents."""
    (folder / DOCUMENTS).mkdir()
    entries = []
    for document in documents:
        name = f"{DOCUMENTS}/{document.id}.txt"
        (folder / name).write_bytes(document.text.encode())
        size = len(document.text)
        entries.append(
            DocumentEntry(
                id=document.id,
                title=document.title,
                source=document.source,
                file=name,
                characters=size,
                pages=document.pages,
                notice=document.notice,
            )
        )
    offsets = [[chunk.document_id, chunk.start, chunk.end] for chunk in chunks]
    (folder / CHUNKS).write_text(json.dumps(offsets, ensure_ascii=False), encoding="utf-8")
    return tuple(entries)


def _digest(document: Document) -> str:
    digest = hashlib.sha256(document.text.encode())
    digest.update("".join(f"\0{start}" for start in document.pages).encode())  # no text holds a NUL
    return digest.hexdigest()


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
