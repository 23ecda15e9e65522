"""A context's folder that somebody else made, seal and all, is read no further than its own files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_store import publish

from memorag_core.config import MANIFEST
from memorag_core.context.damage import sha256_of
from memorag_core.context.files import verify_documents
from memorag_core.context.manifest import digest
from memorag_core.context.store import ContextStore
from memorag_core.context.survey import survey
from memorag_core.errors import DamagedContext, InputError
from memorag_core.ingest import check_size
from memorag_core.types import Document


@pytest.fixture
def store(tmp_path: Path) -> ContextStore:
    return ContextStore(tmp_path / "store")


Change = Callable[[Path, dict[str, Any]], object]


def text_at(name: str) -> Change:
    """The text of the context's document is said to be in a file of that name, which is listed as it is."""

    def change(folder: Path, record: dict[str, Any]) -> None:
        record["documents"][0]["file"] = name
        if (folder / name).is_file():
            entry = {"bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
            record["files"][name] = entry

    return change


def link(folder: Path, record: dict[str, Any]) -> None:
    (folder / "documents" / "b.txt").symlink_to(folder.parent.parent / "secret.txt")
    text_at("documents/b.txt")(folder, record)


def linked_folder(folder: Path, record: dict[str, Any]) -> None:
    (folder / "documents").rename(folder.parent.parent / "elsewhere")
    (folder / "documents").symlink_to(folder.parent.parent / "elsewhere")


def pipe(folder: Path, record: dict[str, Any]) -> None:
    (folder / MANIFEST).unlink()
    os.mkfifo(folder / MANIFEST)


def deep(folder: Path, record: dict[str, Any]) -> None:
    record["recipe"] = {"memory": {"model": "m"}, "embedder": {"model": "e"}, "more": "DEEP"}


def field(name: str, value: object) -> Change:
    return lambda _, record: record.update({name: value})


FORGED = {
    "a file of the system": text_at("/proc/self/environ"),
    "a way out": text_at("documents/../../../secret.txt"),
    "a way out by backslashes": text_at("documents\\..\\secret.txt"),
    "a file that is not listed": text_at("documents/c.txt"),
    "a file that is no text": text_at("memory.safetensors"),
    "a link": link,
    "a linked folder": linked_folder,
    "a pipe": lambda folder, _: os.mkfifo(folder / "documents" / "pipe"),
    "a pipe for a manifest": pipe,
    "a file that nobody listed": lambda folder, _: (folder / "chunks.json").write_text("[]"),
    "no recipe": field("recipe", {}),
    "a recipe of lists": field("recipe", {"memory": [], "embedder": []}),
    "no documents": field("documents", []),
    "no date": field("created", "yesterday"),
    "no number": field("encode_seconds", float("nan")),
    "a negative number": field("chunks", -1),
    "an endless title": field("title", "a" * 20_000),
    "a version that is a list": field("format_version", [1]),
    "a depth without end": deep,
    "half a character": field("title", "\ud800"),
}


def forge(folder: Path, change: Change) -> None:
    """Change the manifest of a folder, and seal it again."""
    record = json.loads((folder / MANIFEST).read_text("utf-8"))
    change(folder, record)
    if not (folder / MANIFEST).is_file():
        return
    text = json.dumps(record | {"seal": digest(record)})
    (folder / MANIFEST).write_text(text.replace('"DEEP"', "[" * 100_000 + "]" * 100_000), "utf-8")


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_folder_is_told_as_damaged_and_the_rest_is_listed(store: ContextStore, kind: str) -> None:
    (store.root.parent / "secret.txt").write_text("Secret")
    publish(store, name="good")
    forge(store.root / publish(store, key="k2", name="forged"), FORGED[kind])
    seen = survey(store)
    assert [context.id for context in seen.contexts] == ["good"]
    assert "'forged' is damaged" in seen.damaged["forged"]
    with pytest.raises(DamagedContext):
        store.reading("forged", verify_documents)
    store.forget("forged")
    assert survey(store).damaged == {}


def test_hidden_files_that_a_desktop_leaves_are_no_damage(store: ContextStore) -> None:
    (store.root / publish(store, name="good") / ".DS_Store").write_text("")
    assert survey(store).damaged == {}


@pytest.mark.parametrize(
    ("document", "message"),
    [(Document("../a", "A", "x"), "cannot have the id"), (Document("a", "A" * 20_000, "x"), "20,000 characters")],
)
def test_what_no_manifest_may_hold_is_refused_before_it_is_written(document: Document, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_size([document], 100)
