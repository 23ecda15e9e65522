"""Write texts and chunk offsets into a context's folder; read all of the folder back and verify it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from memorag_core.concurrency.progress import SILENT
from memorag_core.config import DOCUMENTS
from memorag_core.context.corpus import Context
from memorag_core.context.damage import damage
from memorag_core.context.edits import Contents
from memorag_core.context.manifest import DocumentEntry, Manifest
from memorag_core.context.originals import find_original, keep_original, keep_words
from memorag_core.errors import IncompatibleContext, InputError, quote_name
from memorag_core.text.standing import CHUNKING, Standing
from memorag_core.types import Chunk, ContextInfo, Document, DocumentInfo

if TYPE_CHECKING:
    from memorag_core.components import Components


CHUNKS = "chunks.json"
NAMED = 50


def load(folder: Path, manifest: Manifest, components: Components, whole: bool = True) -> Context:
    """Load a context from its folder; every file is verified. One that is not wanted whole is without its memory.

    Raises:
        DamagedContext: a file is missing or altered.
        IncompatibleContext: it was memorized with other models or settings.
    """
    manifest.verify(folder, {CHUNKS, *(entry.file for entry in manifest.documents)})
    if not is_usable(manifest, components):
        raise IncompatibleContext(_mismatch(folder.name, manifest.recipe, components.recipe))
    whole = whole and manifest.ready == "memory"
    try:
        documents = read_documents(folder, manifest)
        chunks = read_chunks(folder, manifest, documents)
        index = components.retriever.load(folder)
        attention = components.attention.load(folder) if whole and components.attention else None
        memory = components.memory.load(folder) if whole else None
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise damage(folder, f"it cannot be read ({quote_name(error)})") from error
    if manifest.recipe["embedder"] != as_stored(components.recipe)["embedder"]:
        texts = [chunk.indexed for chunk in chunks]
        index = components.retriever.update(index, texts, texts, SILENT)  # keeps the vectors
    return Context(documents, chunks, index, attention, folder.name, manifest, memory)


def is_usable(manifest: Manifest, components: Components) -> bool:
    """Whether a context can be asked with the models and settings in use."""
    return _essentials(manifest.recipe) == _essentials(components.recipe)


def as_stored(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe as it is read back from a manifest: lists for tuples."""
    stored: dict[str, Any] = json.loads(json.dumps(recipe))
    return stored


def _essentials(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return what of a recipe must be as it is in use. How it was chunked need not: each context has its own chunks;
    nor with which version of the index of words, which is made again in a blink.
    """
    stored = as_stored(recipe)
    embedder = {name: value for name, value in stored["embedder"].items() if name != "with"}
    others = [other.get("model") for other in stored["embedder"].get("with", ())]
    rest = {name: value for name, value in stored.items() if name != "chunking"}
    return rest | {"embedder": embedder | {"with": others}}


def describe(manifest: Manifest, contents: Contents) -> Manifest:
    """Return the manifest of the same texts with what is known of where they are from now."""
    entries = (
        entry.model_copy(update={"source": one.source, "notice": one.notice, "origin": one.origin})
        for entry, one in zip(manifest.documents, contents.documents, strict=True)
    )
    return manifest.model_copy(update={"documents": tuple(entries), "sources": contents.sources})


def info_of(context_id: str, manifest: Manifest, cached: bool = False) -> ContextInfo:
    """Return what a list shows of a context."""
    return ContextInfo(
        id=context_id,
        title=manifest.title,
        documents=tuple(
            DocumentInfo(d.id, d.title, d.source, d.characters, len(d.pages), d.notice, d.date)
            for d in manifest.documents
        ),
        created=manifest.created,
        models={role: manifest.recipe[role]["model"] for role in ("memory", "embedder")},
        chunks=manifest.chunks,
        memory_tokens=manifest.memory_tokens,
        bytes=sum(entry.bytes for entry in manifest.files.values()),
        encode_seconds=manifest.encode_seconds,
        ready=manifest.ready,
        cached=cached,
        sources=manifest.sources,
    )


def verify_documents(folder: Path, manifest: Manifest) -> tuple[Document, ...]:
    """Verify and read the documents of a folder; nothing else is read."""
    manifest.check_sizes(folder)
    return read_documents(folder, manifest)


def verify_contents(folder: Path, manifest: Manifest) -> tuple[Contents, Manifest]:
    """Verify and read what a context holds, and its manifest; nothing else is read."""
    return Contents(verify_documents(folder, manifest), manifest.sources), manifest


def verify_document(folder: Path, manifest: Manifest, document_id: str) -> Document:
    """Verify and read one document of a folder; nothing else is read.

    Raises:
        InputError: there is none of that id; names those there are.
    """
    entry = find_entry(manifest, document_id, folder.name)
    manifest.check_sizes(folder)
    return read_documents(folder, manifest.model_copy(update={"documents": (entry,)}))[0]


def find_entry(manifest: Manifest, document_id: str, context_id: str) -> DocumentEntry:
    """Return the manifest's entry for a document. Raises as `verify_document`."""
    for entry in manifest.documents:
        if entry.id == document_id:
            return entry
    names = ", ".join(quote_name(entry.id) for entry in manifest.documents[:NAMED])
    raise InputError(
        f"The context {quote_name(context_id)} has no document {quote_name(document_id)}; it has: {names}."
    )


def verify_chunks(folder: Path, manifest: Manifest) -> tuple[Chunk, ...]:
    """Verify and read the chunks of a folder; nothing else is read but its documents."""
    return read_chunks(folder, manifest, verify_documents(folder, manifest))


def read_documents(folder: Path, manifest: Manifest) -> tuple[Document, ...]:
    """Read the documents of a context and verify them, to the letter; no other of its files is read.

    Raises:
        DamagedContext: a file is missing, is altered or is not UTF-8.
    """
    try:
        texts = [manifest.read_file(folder, entry.file).decode() for entry in manifest.documents]
    except UnicodeDecodeError as error:
        raise damage(folder, f"it cannot be read ({quote_name(error)})") from error
    return tuple(
        Document(e.id, e.title, text, e.source, e.pages, e.notice, find_original(folder, manifest, e), e.date, e.origin)
        for e, text in zip(manifest.documents, texts, strict=True)
    )


def read_chunks(folder: Path, manifest: Manifest, documents: Sequence[Document]) -> tuple[Chunk, ...]:
    """Read the chunks of a context and verify them; they are cut from its documents.

    Raises:
        DamagedContext: their offsets cannot be read.
    """
    under_path = manifest.recipe.get("chunking") == CHUNKING
    by_id = {document.id: Standing.of(document, under_path) for document in documents}
    try:
        offsets = json.loads(manifest.read_file(folder, CHUNKS))
        return tuple(by_id[name].chunk(start, end) for name, start, end in offsets)
    except (ValueError, KeyError, TypeError) as error:
        raise damage(folder, f"it cannot be read ({quote_name(error)})") from error


def write_texts(folder: Path, documents: Sequence[Document], chunks: Sequence[Chunk]) -> tuple[DocumentEntry, ...]:
    """Write documents, but what is linked into the folder, and chunk offsets; returns the manifest's entries."""
    (folder / DOCUMENTS).mkdir(exist_ok=True)
    entries = []
    for document in documents:
        name = f"{DOCUMENTS}/{document.id}.txt"
        if not os.path.exists(f"{folder}/{name}"):  # noqa: PTH110  # a context may have thousands
            (folder / name).write_bytes(document.text.encode())
        size = len(document.text)
        original = keep_original(folder, document)
        entries.append(
            DocumentEntry(
                id=document.id,
                title=document.title,
                source=document.source,
                file=name,
                characters=size,
                pages=document.pages,
                notice=document.notice,
                original=original,
                date=document.date,
                words=keep_words(folder, document) if original else None,
                origin=document.origin,
            )
        )
    offsets = [[chunk.document_id, chunk.start, chunk.end] for chunk in chunks]
    (folder / CHUNKS).write_text(json.dumps(offsets, ensure_ascii=False), encoding="utf-8")
    return tuple(entries)


def _mismatch(context_id: str, stored: dict[str, Any], used: dict[str, Any]) -> str:
    differing = sorted(part for part in stored.keys() | used.keys() if stored.get(part) != used.get(part))
    details = "; ".join(f"{part}: it has {stored.get(part)}, in use is {used.get(part)}" for part in differing)
    return (
        f"The context '{context_id}' was memorized with other models or settings than those in use ({details}). "
        "Start with the profile or models it was made with, or memorize its text again under another name."
    )
