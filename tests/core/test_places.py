"""Contexts in step with files and folders: what changed is replaced, what is new added, what is gone removed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memorag_core import MemoRAG, Progress
from memorag_core.config import MANIFEST
from memorag_core.context.edits import CHANGES
from memorag_core.context.manifest import digest
from memorag_core.engine import Places
from memorag_core.errors import Cancelled, InputError
from memorag_core.ingest import KEPT, NEWER, FolderWalk, Known, Reading, documents, known, read_path
from memorag_core.ingest.extract import Extract
from memorag_core.ingest.formats import Format
from memorag_core.types import ContextInfo, Document, Source

MILL = "The mill stands at the head of the pond. Its gates were hung in May 1963.\n"
FERRY = "# The ferry\n\nThe ferry leaves from the north quay at six.\n"
LIGHT = "The lighthouse was painted white in the spring.\n"
PILOT = "The pilot came aboard off Ardmouth and left again.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "notes"
    (place / "old").mkdir(parents=True)
    for name, text in {"mill.md": MILL, "ferry.md": FERRY, "old/light.md": LIGHT}.items():
        (place / name).write_text(text, encoding="utf-8")
    return place


@pytest.fixture
def places(engine: MemoRAG) -> Places:
    return Places(engine, read)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were opened, and with a star those that were read; the times of all files are old enough."""
    seen: list[str] = []
    load, extract = documents._load, documents._extract

    def note_load(real: Path, *rest: Any) -> bytes:
        seen.append(real.name)
        return load(real, *rest)

    def note_extract(data: bytes, suffix: str, what: str, *rest: Any) -> tuple[Extract, Format]:
        seen.append(f"*{Path(what).name}")
        return extract(data, suffix, what, *rest)

    monkeypatch.setattr(known, "COARSE", 0)
    monkeypatch.setattr(documents, "_load", note_load)
    monkeypatch.setattr(documents, "_extract", note_extract)
    return seen


def read(source: Source, before: Known) -> Reading:
    walk = FolderWalk(Path(source.path), source.include, source.exclude)
    return read_path(walk, 10_000, (), before)


def changes(info: ContextInfo) -> dict[str, list[str]]:
    """What became of documents, without what became of none."""
    assert info.changes is not None
    assert tuple(info.changes) == CHANGES
    return {change: sorted(ids) for change, ids in info.changes.items() if ids}


def texts(places: Places, context_id: str = "notes") -> dict[str, str]:
    return {document.id: document.text for document in places.engine.documents(context_id)}


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def change_all(folder: Path) -> None:
    """A file changes, one is renamed, one is gone, one is new."""
    write(folder / "mill.md", f"{MILL}\nThey were painted red in 1971.\n")
    (folder / "ferry.md").rename(folder / "boat.md")
    (folder / "old" / "light.md").unlink()
    write(folder / "pilot.md", PILOT)


AFTER = {"mill": f"{MILL}\nThey were painted red in 1971.\n", "ferry": FERRY, "pilot": PILOT}


@pytest.mark.parametrize("way", ["sync", "add", "memorize", "memorize by its name"])
def test_a_context_follows_its_folder_however_it_is_looked_at_again(places: Places, folder: Path, way: str) -> None:
    source = Source(str(folder))
    first = places.memorize([source], name="notes")
    assert (first.sources, first.changes, first.ready) == ((source,), None, "memory")
    change_all(folder)
    again: dict[str, Callable[[], ContextInfo]] = {
        "sync": lambda: places.sync("notes"),
        "add": lambda: places.add("notes", [source]),
        "memorize": lambda: places.memorize([source]),
        "memorize by its name": lambda: places.memorize([source], name="notes"),
    }
    info = again[way]()
    assert changes(info) == {"added": ["pilot"], "replaced": ["mill"], "removed": ["light"], "renamed": ["ferry"]}
    assert (info.id, info.cached, info.ready, info.sources) == ("notes", False, "memory", (source,))
    assert texts(places) == AFTER
    assert {one.id: Path(one.source).name for one in info.documents}["ferry"] == "boat.md"
    assert [one.id for one in info.documents if one.notice == NEWER] == ["mill"]
    answer = places.engine.answer("notes", "When were the gates painted?")
    assert answer.citations
    assert all(AFTER[one.document_id][one.start : one.end] == one.quote for one in answer.citations)
    still = again[way]()
    assert (changes(still), still.cached) == ({"unchanged": ["ferry", "mill", "pilot"]}, True)


def test_nothing_is_opened_that_was_not_touched_and_nothing_read_whose_bytes_are_known(
    places: Places, folder: Path, looked_at: list[str]
) -> None:
    places.memorize([Source(str(folder))])
    assert sorted(looked_at) == ["*ferry.md", "*light.md", "*mill.md", "ferry.md", "light.md", "mill.md"]
    before = places.engine.store.manifest("the-ferry")
    looked_at.clear()
    places.sync("the-ferry")
    assert (looked_at, places.engine.store.manifest("the-ferry")) == ([], before)
    os.utime(folder / "mill.md", ns=(1, 1))
    (folder / "ferry.md").rename(folder / "boat.md")
    write(folder / "copy of the mill.md", MILL)
    info = places.sync("the-ferry")
    assert (sorted(looked_at), info.cached) == (["boat.md", "copy of the mill.md", "mill.md"], True)
    assert info.left_out == {"copy of the mill.md": "its text is that of the document 'mill'"}
    looked_at.clear()
    assert changes(places.sync("the-ferry")) == {"unchanged": ["ferry", "light", "mill"]}
    assert looked_at == ["copy of the mill.md"]


def test_what_cannot_be_read_now_is_kept_marked_and_told_until_it_can(places: Places, folder: Path) -> None:
    places.memorize([Source(str(folder))], name="notes")
    write(folder / "mill.md", "")
    info = places.sync("notes")
    assert (changes(info), info.cached) == ({"unchanged": ["ferry", "light", "mill"]}, True)
    assert [one.id for one in info.documents if one.notice == KEPT] == ["mill"]
    assert info.left_out["mill.md"].endswith(
        "is empty; there is nothing to memorize. What was read of it before is kept."
    )
    write(folder / "mill.md", MILL)
    assert [one.notice for one in places.sync("notes").documents] == ["", "", ""]


def test_what_a_folder_that_cannot_be_listed_held_is_kept(
    places: Places, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places.memorize([Source(str(folder))], name="notes")
    scan = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "old":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    info = places.sync("notes")
    assert changes(info) == {"unchanged": ["ferry", "light", "mill"]}
    assert info.left_out == {"old/": "it cannot be listed (Permission denied)"}


def test_a_source_that_is_not_there_takes_nothing_away_but_a_file_gone_from_its_folder_goes(
    places: Places, folder: Path, tmp_path: Path
) -> None:
    pilot, other = tmp_path / "pilot.md", tmp_path / "disk"
    write(pilot, PILOT)
    other.mkdir()
    write(other / "log.md", "The wind went round to the west at noon.\n")
    places.memorize([Source(str(place)) for place in (folder, pilot, other)], name="notes")
    other.rename(tmp_path / "unplugged")
    pilot.unlink()
    info = places.sync("notes")
    assert changes(info) == {"removed": ["pilot"], "unchanged": ["ferry", "light", "log", "mill"]}
    assert [one.id for one in info.documents if one.notice == KEPT] == ["log"]
    assert sorted(info.left_out) == [str(other), str(pilot)]
    folder.rename(tmp_path / "moved")
    with pytest.raises(InputError, match="There is no file or folder at"):
        places.sync("notes")
    assert sorted(texts(places)) == ["ferry", "light", "log", "mill"]


def test_patterns_are_remembered_and_another_selection_of_the_folder_takes_nothing_from_the_first(
    places: Places, folder: Path
) -> None:
    write(folder / "talk.txt", PILOT)
    places.memorize([Source(str(folder), ("*.md",), ("old",))], name="notes")
    write(folder / "new.txt", "Nobody wrote down when.\n")
    write(folder / "new.md", "Then it rained.\n")
    assert changes(places.sync("notes")) == {"added": ["new"], "unchanged": ["ferry", "mill"]}
    info = places.add("notes", [Source(str(folder), ("talk.*",))])
    assert changes(info) == {"added": ["talk"], "unchanged": ["ferry", "mill", "new"]}
    assert len(places.sync("notes").sources) == 2


def test_a_copy_of_a_folder_under_another_name_follows_its_own_files(places: Places, folder: Path) -> None:
    twin = folder.with_name("twin")
    folder.rename(twin)
    places.memorize([Source(str(twin))], name="twin")
    (folder / "old").mkdir(parents=True)
    for name, text in {"mill.md": MILL, "ferry.md": FERRY, "old/light.md": LIGHT}.items():
        write(folder / name, text)
    places.memorize([Source(str(folder))], name="notes")
    change_all(folder)
    assert changes(places.sync("twin")) == {"unchanged": ["ferry", "light", "mill"]}
    places.sync("notes")
    assert texts(places) == AFTER
    assert sorted(texts(places, "twin")) == ["ferry", "light", "mill"]


def test_a_context_without_sources_says_so_and_is_followed_once_its_folder_is_added(
    places: Places, folder: Path
) -> None:
    places.memorize([Source(str(folder))], name="notes")
    forget_sources(places.engine.store.root / "notes" / MANIFEST)
    assert places.engine.info("notes").sources == ()
    with pytest.raises(InputError, match=r"does not know what files it was read from.*Add its file or folder to it"):
        places.sync("notes")
    write(folder / "mill.md", f"{MILL}\nThey were painted red in 1971.\n")
    assert changes(places.add("notes", [Source(str(folder))])) == {
        "replaced": ["mill"],
        "unchanged": ["ferry", "light"],
    }
    (folder / "ferry.md").unlink()
    assert changes(places.sync("notes")) == {"removed": ["ferry"], "unchanged": ["light", "mill"]}


def forget_sources(manifest: Path) -> None:
    """Make of a manifest one that an earlier version wrote."""
    record = json.loads(manifest.read_text(encoding="utf-8"))
    del record["sources"]
    for document in record["documents"]:
        del document["origin"]
    write(manifest, json.dumps(record | {"seal": digest(record)}))


@pytest.mark.parametrize("stage", ["indexing", "memorizing"])
def test_what_is_stopped_in_between_leaves_one_version_whole(places: Places, folder: Path, stage: str) -> None:
    places.memorize([Source(str(folder))], name="notes")
    before = texts(places)
    change_all(folder)

    def stop(progress: Progress) -> None:
        if progress.stage == stage:
            raise Cancelled

    with pytest.raises(Cancelled):
        places.sync("notes", stop)
    assert texts(places) == (before if stage == "indexing" else AFTER)
    assert places.engine.retrieve("notes", "When were the gates hung?")
    info = places.sync("notes")
    assert (texts(places), info.ready) == (AFTER, "memory")


def test_a_file_renamed_while_the_memory_is_made_is_known_by_its_new_name_afterwards(
    places: Places, folder: Path
) -> None:
    def stop(info: ContextInfo) -> None:
        raise Cancelled(info.ready)

    def rename(info: ContextInfo) -> None:
        (folder / "ferry.md").rename(folder / "boat.md")
        with pytest.raises(Cancelled, match="evidence"):
            places.add(info.id, [Source(str(folder))], on_ready=stop)

    info = places.memorize([Source(str(folder))], "notes", on_ready=rename)
    assert info.ready == "memory"
    assert {one.id: Path(one.source).name for one in info.documents}["ferry"] == "boat.md"
    assert info.sources == (Source(str(folder)),)


def test_documents_that_are_handed_over_belong_to_no_folder(places: Places, folder: Path) -> None:
    places.memorize([Source(str(folder))], name="notes")
    places.engine.add("notes", [Document("note", "Note", "Amos kept the gate book.")])
    (folder / "ferry.md").unlink()
    assert changes(places.sync("notes")) == {"removed": ["ferry"], "unchanged": ["light", "mill"]}
    assert "note" in texts(places)
