"""A context that changes is the old one or the new one, for whoever looks and whatever is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
from stores import only_folders, store
from test_store import fill, manifest_of, publish, remains
from waits import SECONDS

from memorag_core.config import WORK
from memorag_core.context import atomic_files
from memorag_core.context.manifest import Manifest
from memorag_core.context.shared import SharedStore
from memorag_core.context.store import ASIDE, ContextStore
from memorag_core.errors import ContextExists, DamagedContext, StoreError, UnknownContext

__all__ = ["store"]

HERE = Path(__file__).parent
TEXT = "documents/a.txt"
KILLED_EVERYWHERE = """
import os, sys
from pathlib import Path
from test_store import fill, manifest_of, publish, remains
from test_store_changes import change, whole
from memorag_core.context.store import ContextStore

def killed_at(event):
    seen = 0
    def hook(name, arguments):
        nonlocal seen
        if name in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "open", "os.scandir"):
            seen += 1
            if seen == event:
                os._exit(9)
    sys.addaudithook(hook)

for event in range(1, 1000):
    store = ContextStore(Path(sys.argv[1]) / str(event))
    publish(store)
    store.copy("the-mill", "twin", "k1")
    child = os.fork()
    if child == 0:
        killed_at(event)
        change(store, "the-mill", "k2")
        os._exit(0)
    outcome = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    aside = any(path.name.startswith("aside=") for path in (store.root / ".work").iterdir())
    gap = not (store.root / "the-mill").exists()
    if event % 2:
        store.sweep()
        assert (store.root / "the-mill").exists()
    assert store.ids() == ["the-mill", "twin"], event
    key = whole(store, "the-mill")
    assert whole(store, "twin") == "k1", event
    store.sweep()
    publish(store, "k3", name="third")
    store.forget("third")
    leftover = {name for name in remains(store) if name.startswith("aside=")}
    assert not leftover and whole(store, "the-mill") == key, event
    print(outcome, key, "gap" * gap, "aside" * aside)
    if outcome == 0:
        break
"""


def change(store: ContextStore, context_id: str, key: str, text: bytes = b"New text") -> None:
    """Replace the text of a context, as the engine would."""
    with store.changing(context_id):
        before = store.manifest(context_id)
        with store.writing(key) as work:
            fill(work.draft)
            (work.draft / "documents" / "a.txt").write_bytes(text)
            store.replace(context_id, work, manifest_of(key), before)


def whole(store: ContextStore, context_id: str) -> str:
    """The key of a context, its files verified."""

    def verified(folder: Path, manifest: Manifest) -> str:
        manifest.verify(folder)
        return manifest.key

    return store.reading(context_id, verified)


def test_a_changed_context_keeps_its_id_and_a_copy_keeps_its_texts(store: ContextStore) -> None:
    publish(store)
    store.copy("the-mill", "twin", "k1")
    change(store, "the-mill", "k2")
    assert store.ids() == ["the-mill", "twin"]
    assert [whole(store, name) for name in store.ids()] == ["k2", "k1"]
    assert (store.folder("twin") / "documents" / "a.txt").read_bytes() == b"Text"
    assert [name for name in remains(store) if "k2" in name or name.startswith(ASIDE)] == []


def test_a_writer_killed_at_any_point_leaves_the_old_or_the_new_context_whole(tmp_path: Path) -> None:
    """At its first step, at its second … until one comes through; each time in a store of its own."""
    path = os.pathsep.join((str(HERE), str(HERE.parents[1]), str(HERE.parents[2])))
    command = [sys.executable, "-c", KILLED_EVERYWHERE, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": path})
    assert run.returncode == 0, run.stderr
    outcomes = [line.split(" ") for line in run.stdout.splitlines()]
    assert [outcome for outcome, *_ in outcomes] == ["9"] * (len(outcomes) - 1) + ["0"]
    keys = [key for _, key, *_ in outcomes]
    assert keys == sorted(keys), "the old one, and from some point on the new one"
    assert {"k1", "k2"} == set(keys)
    assert ["9", "k1", "gap", "aside"] in outcomes, "killed between the two renames, the old one is brought back"
    assert ["9", "k2", "", "aside"] in outcomes, "killed after them, what is left of the old one is cleared"


def test_a_context_forgotten_while_it_is_changed_stays_forgotten(store: ContextStore) -> None:
    publish(store)
    before = store.manifest("the-mill")
    store.forget("the-mill")
    with store.writing("k2") as work:
        fill(work.draft)
        with pytest.raises(UnknownContext):
            store.replace("the-mill", work, manifest_of("k2"), before)
    publish(store, "k3")
    with store.writing("k2") as work:
        fill(work.draft)
        assert not store.replace("the-mill", work, manifest_of("k2"), before)
    assert whole(store, "the-mill") == "k3"


@only_folders
def test_the_name_of_a_context_that_a_killed_writer_set_aside_is_taken(store: ContextStore) -> None:
    publish(store)
    os.replace(store.root / "the-mill", store.root / WORK / f"{ASIDE}the-mill")
    with pytest.raises(ContextExists, match="Choose another name"):
        store.check_name("the mill", "k2")
    assert whole(store, "the-mill") == "k1"


@only_folders
def test_a_context_that_cannot_be_moved_into_place_stays_what_it_was(
    store: ContextStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store)
    replace = os.replace

    def fail_on_the_second(source: Path, target: Path) -> None:
        if source.name == "draft":
            raise PermissionError(13, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_on_the_second)
    with pytest.raises(StoreError, match="Check its permissions"):
        change(store, "the-mill", "k2")
    assert whole(store, "the-mill") == "k1"
    assert [name for name in remains(store) if name.startswith(ASIDE)] == []


@pytest.mark.parametrize("look", ["manifest", "ids", "whole"])
@only_folders
def test_who_looks_between_the_two_renames_waits_and_sees_the_new_context(
    store: ContextStore, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    publish(store)
    replace = os.replace
    seen: list[object] = []
    looks = {
        "manifest": lambda: seen.append(store.manifest("the-mill").key),
        "ids": lambda: seen.extend(store.ids()),
        "whole": lambda: seen.append(whole(store, "the-mill")),
    }
    reader = threading.Thread(target=looks[look])

    def look_in_the_gap(source: Path, target: Path) -> None:
        if source.name == "draft":
            assert not (store.root / "the-mill").exists()
            monkeypatch.setattr(store, "_naming", telling)
            reader.start()
            assert looked.wait(SECONDS)
        replace(source, target)

    naming, looked = store._naming, threading.Event()

    def telling() -> object:
        looked.set()
        return naming()

    if look == "ids":
        looked.set()
    monkeypatch.setattr(os, "replace", look_in_the_gap)
    change(store, "the-mill", "k2")
    reader.join(SECONDS)
    assert seen == (["the-mill"] if look == "ids" else ["k2"])


def test_who_has_the_old_manifest_and_finds_new_files_reads_again(store: ContextStore) -> None:
    publish(store)
    keys: list[str] = []

    def changed_while_reading(folder: Path, manifest: Manifest) -> str:
        keys.append(manifest.key)
        if len(keys) == 1:
            change(store, "the-mill", "k2")
        manifest.verify(folder)
        return manifest.key

    assert store.reading("the-mill", changed_while_reading) == "k2"
    assert keys == ["k1", "k2"]


def test_changes_of_one_context_wait_for_each_other_and_of_two_do_not(store: ContextStore) -> None:
    publish(store, "k1", "One")
    publish(store, "k2", "Two")
    keys = [f"k{number}" for number in range(3, 8)]
    threads = [threading.Thread(target=change, args=(store, "one", key)) for key in keys]
    with store.changing("one"):
        for thread in threads:
            thread.start()
        change(store, "two", "k9")
        assert store.manifest("one").key == "k1"
    for thread in threads:
        thread.join(SECONDS)
    assert whole(store, "two") == "k9"
    assert whole(store, "one") in keys


def test_a_context_that_is_not_there_cannot_be_changed_nor_its_name_lead_elsewhere(store: ContextStore) -> None:
    publish(store)
    for name in ("mill", "..", f"../{WORK}", ""):
        with pytest.raises(UnknownContext), store.changing(name):
            pass


def test_what_is_set_aside_is_brought_back_in_one_move(tmp_path: Path) -> None:
    (tmp_path / "aside").mkdir()
    atomic_files.recover(tmp_path / "aside", tmp_path / "place")
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_a_text_that_stays_is_linked_and_its_digest_kept_and_what_is_no_link_any_more_is_read(
    store: ContextStore,
) -> None:
    publish(store)
    place, before = store.folder("the-mill"), store.manifest("the-mill")
    held = (place / TEXT).stat()
    with store.changing("the-mill"), store.writing("k2") as work:
        store.reading("the-mill", partial(work.take_texts, before=before, ids={"a"}))
        other = work.linked[TEXT].model_copy(update={"sha256": "0" * 64})
        (work.draft / "fresh.txt").write_bytes(b"Fresh")
        work.linked["fresh.txt"] = other
        store.replace("the-mill", work, manifest_of("k2"), before)
    assert (place / TEXT).stat().st_ino == held.st_ino
    assert store.manifest("the-mill").files[TEXT] == before.files[TEXT]
    assert whole(store, "the-mill") == "k2"


def test_damage_of_a_text_that_stays_is_not_sealed_anew(store: ContextStore) -> None:
    publish(store)
    before = store.manifest("the-mill")
    with store.changing("the-mill"), store.writing("k2") as work:
        store.reading("the-mill", partial(work.take_texts, before=before, ids={"a"}))
        (work.draft / TEXT).write_bytes(b"Tixt")  # the link's file is that of the context
        store.replace("the-mill", work, manifest_of("k2"), before)
    if isinstance(store, SharedStore):
        assert whole(store, "the-mill") == "k2"
        assert (store.folder("the-mill") / TEXT).read_bytes() == b"Text", "it is damage of the copy alone"
        return
    with pytest.raises(DamagedContext, match=r"a\.txt.*checksum"):
        whole(store, "the-mill")


def test_of_a_context_that_was_memorized_anew_meanwhile_no_text_is_taken(store: ContextStore) -> None:
    publish(store)
    before = store.manifest("the-mill")
    store.forget("the-mill")
    publish(store, "k3")
    with store.writing("k2") as work:
        store.reading("the-mill", partial(work.take_texts, before=before, ids={"a"}))
        assert work.linked == {}
        assert list(work.draft.iterdir()) == []
