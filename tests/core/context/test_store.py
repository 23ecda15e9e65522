"""Contexts on disk: whole or not there at all, whatever interrupts, and a clear word where something is wrong."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from stores import do_damage, elsewhere, only_folders, store

from memorag_core import Document, MemoRAG, Settings
from memorag_core.config import MANIFEST, WORK
from memorag_core.context import versions
from memorag_core.context.manifest import FORMAT_VERSION, DocumentEntry, Manifest
from memorag_core.context.shared import open_store
from memorag_core.context.store import ContextStore
from memorag_core.context.survey import survey
from memorag_core.errors import (
    Cancelled,
    ContextExists,
    DamagedContext,
    IncompatibleContext,
    InputError,
    StoreError,
    StoreFull,
    UnknownContext,
)

__all__ = ["store"]

MEMORY = "memory.safetensors"


def manifest_of(key: str = "k1", title: str = "The mill") -> Manifest:
    return Manifest(
        key=key,
        title=title,
        created="2025-01-01T00:00:00+00:00",
        recipe={"memory": {"model": "m"}, "embedder": {"model": "e"}},
        documents=(DocumentEntry(id="a", title="A", source="", file="documents/a.txt", characters=4),),
        chunks=1,
        memory_tokens=10,
        encode_seconds=1.5,
        files={},
    )


def fill(draft: Path) -> None:
    """The files of a small context."""
    (draft / "documents").mkdir()
    (draft / "documents" / "a.txt").write_bytes(b"Text")
    (draft / MEMORY).write_bytes(bytes(range(100)))


def publish(store: ContextStore, key: str = "k1", title: str = "The mill", name: str | None = None) -> str:
    """Write a small context, as the engine would."""
    with store.writing(key) as work:
        fill(work.draft)
        return store.publish(work, manifest_of(key, title), name)


def remains(store: ContextStore) -> list[str]:
    """All that is in the store but locks."""
    return [path.name for path in store.root.rglob("*") if path.name != WORK and path.suffix != ".lock"]


def failing(code: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_a_published_context_is_listed_verified_and_found_by_its_key(store: ContextStore) -> None:
    assert publish(store) == "the-mill"
    assert store.ids() == ["the-mill"]
    manifest = store.manifest("the-mill")
    manifest.verify(store.folder("the-mill"))
    assert sorted(manifest.files) == ["documents/a.txt", MEMORY]
    assert (manifest.key, manifest.format_version) == ("k1", FORMAT_VERSION)
    assert store.find("k1") == ["the-mill"]
    assert store.find("k2") == []


def test_a_store_that_is_not_there_yet_is_empty_and_is_not_made_by_looking(store: ContextStore) -> None:
    store.sweep()
    assert store.ids() == []
    assert store.find("k1") == []
    assert not store.root.exists()


def test_an_unknown_id_is_told_with_those_there_are(store: ContextStore) -> None:
    with pytest.raises(UnknownContext, match=r"no context 'mill'.*none yet; memorize one first"):
        store.folder("mill")
    publish(store, "k1", "Alpha")
    publish(store, "k2", "Beta")
    with pytest.raises(UnknownContext, match="The contexts here are: 'alpha', 'beta'"):
        store.forget("mill")


@pytest.mark.parametrize("context_id", ["", ".", "..", "../store/mill", WORK, "mill/documents"])
def test_an_id_cannot_lead_out_of_the_contexts(store: ContextStore, context_id: str) -> None:
    publish(store, title="mill")
    with pytest.raises(UnknownContext):
        store.forget(context_id)


@only_folders
def test_a_folder_that_is_no_context_is_let_be(store: ContextStore) -> None:
    (store.root / "samples").mkdir(parents=True)
    assert store.ids() == []
    with pytest.raises(UnknownContext):
        store.forget("samples")
    assert publish(store, title="Samples") == "samples-2"


def test_the_same_title_again_gets_a_number(store: ContextStore) -> None:
    assert [publish(store, key) for key in ("k1", "k2", "k3")] == ["the-mill", "the-mill-2", "the-mill-3"]


def test_a_title_without_a_letter_still_gets_an_id(store: ContextStore) -> None:
    context_id = publish(store, title="* * *")
    assert store.ids() == [context_id]


def test_a_name_taken_by_other_contents_is_refused_and_nothing_is_lost(store: ContextStore) -> None:
    assert publish(store, "k1", name="My Mill") == "my-mill"
    with pytest.raises(ContextExists, match=r"'my-mill' belongs to .* other contents\. Choose another name"):
        publish(store, "k2", name="my mill")
    assert store.manifest("my-mill").key == "k1"
    assert [path.name for path in (store.root / WORK).iterdir() if path.is_dir()] == []


def test_a_name_is_checked_before_the_work_is_begun(store: ContextStore) -> None:
    publish(store, "k1", name="mill")
    assert store.check_name("Mill", "k1") == "mill"
    assert store.check_name("other", "k1") is None
    with pytest.raises(ContextExists, match="Choose another name"):
        store.check_name("mill", "k2")
    with pytest.raises(InputError, match="no letter or digit"):
        store.check_name("***", "k1")


def test_a_copy_is_whole_and_outlives_the_original(store: ContextStore) -> None:
    publish(store, title="first")
    assert store.copy("first", "Second", "k1") == "second"
    assert store.find("k1") == ["first", "second"]
    store.forget("first")
    assert store.find("k1") == ["second"]
    with pytest.raises(UnknownContext, match="holds other texts"):
        store.copy("second", "third", "k2")
    with pytest.raises(ContextExists):
        store.copy("second", "second", "k1")


@only_folders
def test_a_full_disk_while_copying_is_told_and_leaves_nothing(
    store: ContextStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, title="first")
    before = remains(store)
    monkeypatch.setattr(os, "link", failing(errno.EXDEV))
    monkeypatch.setattr(shutil, "copy2", failing(errno.ENOSPC))
    with pytest.raises(StoreFull):
        store.copy("first", "second", "k1")
    assert remains(store) == before


def flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / MEMORY).read_bytes())
    data[50] ^= 1
    (folder / MEMORY).write_bytes(data)


def write_manifest(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def raise_version(folder: Path) -> None:
    record = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    write_manifest(folder, json.dumps(record | {"format_version": 999}))


DAMAGES = [
    pytest.param(flip_a_byte, DamagedContext, f"{MEMORY} does not match its checksum", id="flipped-byte"),
    pytest.param(lambda f: os.truncate(f / MEMORY, 10), DamagedContext, "does not match", id="truncated-file"),
    pytest.param(lambda f: (f / MEMORY).unlink(), DamagedContext, f"{MEMORY} is missing", id="missing-file"),
    pytest.param(lambda f: (f / MANIFEST).unlink(), DamagedContext, "manifest.json cannot be read", id="no-manifest"),
    pytest.param(lambda f: write_manifest(f, "\0garbage"), DamagedContext, "cannot be read", id="garbage-manifest"),
    pytest.param(lambda f: write_manifest(f, "[1]"), DamagedContext, "cannot be read", id="manifest-of-another-shape"),
    pytest.param(
        lambda f: write_manifest(f, f'{{"format_version": {FORMAT_VERSION}}}'), DamagedContext, "not valid", id="gaps"
    ),
    pytest.param(raise_version, IncompatibleContext, "format version 999; this program reads 1. Upgrade", id="version"),
]


@pytest.mark.parametrize(("damage", "error", "message"), DAMAGES)
def test_damage_is_named_with_what_to_do_and_a_damaged_context_can_be_replaced(
    store: ContextStore, damage: Callable[[Path], None], error: type[StoreError], message: str
) -> None:
    publish(store, title="mill")
    do_damage(store, "mill", damage)
    other = elsewhere(store)
    assert other.find("k1") == [], "a damaged context is no cache hit"
    with pytest.raises(error, match=rf"'mill' .*{message}.*[Ff]orget 'mill'.*memorize it again"):
        other.reading("mill", lambda folder, manifest: manifest.verify(folder))
    store.forget("mill")
    assert remains(store) == []
    assert publish(store, name="mill") == "mill"
    assert other.find("k1") == ["mill"]


@only_folders
def test_a_file_that_was_changed_is_named_by_a_list_though_its_size_is_right(store: ContextStore) -> None:
    folder = store.root / publish(store, title="mill")
    later = (folder / MANIFEST).stat().st_mtime + 5
    os.utime(folder / MEMORY, (later, later))
    assert [info.id for info in survey(store).contexts] == ["mill"], "touched, as by a copy"
    flip_a_byte(folder)
    os.utime(folder / MEMORY, (later + 5, later + 5))
    assert "does not match its checksum" in survey(store).damaged["mill"]


@only_folders
def test_a_flipped_byte_anywhere_in_the_manifest_is_found(store: ContextStore) -> None:
    folder = store.root / publish(store)
    whole = (folder / MANIFEST).read_bytes()

    def unnoticed(at: int) -> bool:
        (folder / MANIFEST).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            Manifest.read(folder).verify(folder)
        except StoreError:
            return False
        return True

    assert [whole[at - 8 : at + 8] for at in range(len(whole)) if unnoticed(at)] == []


@only_folders
def test_a_file_that_may_not_be_read_is_told(store: ContextStore, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = store.root / publish(store)
    monkeypatch.setattr("memorag_core.context.manifest.sha256_of", failing(errno.EACCES))
    with pytest.raises(StoreError, match="the-mill"):
        store.manifest(folder.name).verify(folder)


def test_a_draft_left_by_a_crash_is_not_listed_and_the_next_writer_starts_afresh(store: ContextStore) -> None:
    half = store.root / WORK / "k1"
    half.mkdir(parents=True)
    (half / MANIFEST).write_text("{}", encoding="utf-8")
    assert store.ids() == []
    publish(store)
    assert sorted(path.name for path in store.folder("the-mill").iterdir()) == ["documents", MANIFEST, MEMORY]


def test_a_full_disk_is_told_and_leaves_nothing(store: ContextStore) -> None:
    def run_out_of_space() -> None:
        with store.writing("k1") as work:
            (work.draft / "half").write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StoreFull, match=r"nothing was kept .*Free some space.*--store"):
        run_out_of_space()
    assert remains(store) == []


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [(errno.ENOSPC, StoreFull, "Free some space"), (errno.EACCES, StoreError, "Check its permissions")],
)
@only_folders
def test_a_failure_to_move_into_place_is_told_and_leaves_nothing(
    store: ContextStore, monkeypatch: pytest.MonkeyPatch, code: int, error: type[StoreError], message: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing(code))
        with pytest.raises(StoreError, match=message) as raised:
            publish(store)
    assert raised.type is error
    assert remains(store) == []
    assert publish(store) == "the-mill"


def test_a_store_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(StoreError, match="Check its permissions, or choose another folder with --store"):
        publish(ContextStore(tmp_path / "file" / "store"))


def test_a_bucket_that_cannot_be_reached_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "RETRIES", 0)
    for name, value in {"ENDPOINT": "http://127.0.0.1:9", "ALLOW_HTTP": "true", "ACCESS_KEY_ID": "a"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    closed = open_store(Settings.of(store=tmp_path, shared="s3://nowhere/at-all"))
    with pytest.raises(StoreError, match=r"s3://nowhere/at-all cannot be used .*Check its address"):
        closed.ids()
    for url in ("nothing", "file:///tmp", "https://example.org/", "s3://"):
        with pytest.raises(InputError, match=r"is no bucket that can be used .* --store"):
            open_store(Settings.of(store=tmp_path, shared=url))


@only_folders
def test_a_store_that_may_only_be_read_can_be_swept(store: ContextStore, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(store)
    (store.root / WORK / "k2.lock").touch()
    for module in ("store", "work"):
        monkeypatch.setattr(f"memorag_core.context.{module}.FileLock", failing(errno.EROFS))
    store.sweep()
    assert store.ids() == ["the-mill"]


def test_being_stopped_is_not_taken_for_damage(engine: MemoRAG, monkeypatch: pytest.MonkeyPatch) -> None:
    info = engine.memorize([Document("a", "A", "The mill stands at the head of the pond.")])
    key = engine.store.manifest(info.id).key

    def stopped(_: object, **__: object) -> None:
        raise Cancelled

    monkeypatch.setattr(Manifest, "read", stopped)
    for looks in (engine.contexts, engine.damaged, lambda: engine.store.find(key)):
        with pytest.raises(Cancelled):
            looks()
