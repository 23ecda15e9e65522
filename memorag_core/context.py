"""A context in use: its texts, chunks, index and memory together; and how it is written to and read from a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from memorag_core.clues import terms
from memorag_core.errors import DamagedContext
from memorag_core.manifest import DocumentEntry, Manifest, damage
from memorag_core.types import Chunk, ContextInfo, Document, DocumentInfo

if TYPE_CHECKING:
    from memorag_core.memory import Memory
    from memorag_core.retrieval.base import Index

DOCUMENTS = "documents"
CHUNKS = "chunks.json"


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


def write_texts(folder: Path, documents: tuple[Document, ...], chunks: tuple[Chunk, ...]) -> tuple[DocumentEntry, ...]:
    """Write documents and chunk offsets; returns the manifest's entries for the documents."""
    (folder / DOCUMENTS).mkdir()
    entries = []
    for document in documents:
        name = f"{DOCUMENTS}/{document.id}.txt"
        (folder / name).write_bytes(document.text.encode())
        entries.append(
            DocumentEntry(
                id=document.id,
                title=document.title,
                source=document.source,
                file=name,
                characters=len(document.text),
            )
        )
    offsets = [[chunk.document_id, chunk.start, chunk.end] for chunk in chunks]
    (folder / CHUNKS).write_text(json.dumps(offsets, ensure_ascii=False), encoding="utf-8")
    return tuple(entries)


def read_documents(folder: Path, manifest: Manifest) -> tuple[Document, ...]:
    """The documents of a context, to the letter.

    Raises:
        DamagedContext: a file is missing or is not UTF-8.
    """
    try:
        texts = [(folder / entry.file).read_bytes().decode() for entry in manifest.documents]
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedContext(damage(folder, f"a document cannot be read ({error})")) from error
    return tuple(Document(e.id, e.title, text, e.source) for e, text in zip(manifest.documents, texts, strict=True))


def read_chunks(folder: Path, documents: tuple[Document, ...]) -> tuple[Chunk, ...]:
    """The chunks of a context, cut from its documents."""
    texts = {document.id: document.text for document in documents}
    try:
        offsets = json.loads((folder / CHUNKS).read_text(encoding="utf-8"))
        return tuple(Chunk(name, start, end, texts[name][start:end]) for name, start, end in offsets)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedContext(damage(folder, f"{CHUNKS} cannot be read ({error})")) from error
