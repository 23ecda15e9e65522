"""Several machines over one bucket: each sees what the others did, of two who change the same one wins, none loses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import STORY
from stores import elsewhere, only_buckets, store
from test_store import MEMORY, fill, flip_a_byte, manifest_of, publish
from test_store_changes import TEXT, change, whole
from waits import SECONDS

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.context import leases, versions
from memorag_core.context.shared import SharedStore
from memorag_core.context.store import ContextStore
from memorag_core.context.survey import survey
from memorag_core.errors import ContextExists, DamagedContext, UnknownContext
from memorag_core.runtime import Runtime

__all__ = ["store"]

pytestmark = only_buckets


class Killed(BaseException):
    """Stands for the end of a process: nobody handles it."""


class Bucket:
    """A bucket that takes note of what is put and got, and dies at the put of some number."""

    def __init__(self, bucket: Any) -> None:
        self._bucket = bucket
        self.put_paths = list[str]()
        self.got_paths = list[str]()
        self.dies_at: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)

    def put(self, path: str, *values: Any, **options: Any) -> Any:
        if self.dies_at is not None and len(self.put_paths) >= self.dies_at:
            raise Killed
        self.put_paths.append(path)
        return self._bucket.put(path, *values, **options)

    def get(self, path: str, *values: Any, **options: Any) -> Any:
        self.got_paths.append(path)
        return self._bucket.get(path, *values, **options)


@pytest.fixture
def bucket(store: ContextStore) -> Bucket:
    """The bucket of the store, watched."""
    assert isinstance(store, SharedStore)
    store.versions.bucket = watched = Bucket(store.versions.bucket)  # type: ignore[assignment]  # it stands for one
    return watched


def blobs(paths: list[str]) -> list[str]:
    return [path for path in paths if path.startswith("blobs/")]


def test_what_one_machine_publishes_changes_and_forgets_another_sees_at_once(store: ContextStore) -> None:
    other = elsewhere(store)
    publish(store)
    assert whole(other, "the-mill") == "k1"
    change(other, "the-mill", "k2")
    assert whole(store, "the-mill") == "k2"
    assert (store.folder("the-mill") / TEXT).read_bytes() == b"New text"
    store.copy("the-mill", "twin", "k2")
    other.forget("the-mill")
    assert store.ids() == other.ids() == ["twin"]
    with pytest.raises(UnknownContext, match="The contexts here are: 'twin'"):
        store.folder("the-mill")
    assert whole(other, "twin") == "k2"


def test_a_list_gets_no_files_and_a_change_only_those_that_are_new(store: ContextStore, bucket: Bucket) -> None:
    publish(store)
    other = elsewhere(store)
    assert [info.id for info in survey(other).contexts] == ["the-mill"]
    assert blobs(bucket.got_paths) == []
    whole(other, "the-mill")
    assert len(blobs(bucket.got_paths)) == 2
    change(store, "the-mill", "k2")
    assert whole(other, "the-mill") == "k2"
    assert len(blobs(bucket.got_paths)) == 3, "the memory is the same"


def test_a_text_that_stays_is_not_sent_again(store: ContextStore, bucket: Bucket) -> None:
    publish(store)
    before, sent = store.manifest("the-mill"), len(blobs(bucket.put_paths))
    with store.changing("the-mill"), store.writing("k2") as work:
        store.reading("the-mill", lambda folder, manifest: work.take_texts(folder, manifest, before, {"a"}))
        (work.draft / MEMORY).write_bytes(b"Another memory")
        assert store.replace("the-mill", work, manifest_of("k2"), before)
    assert len(blobs(bucket.put_paths)) == sent + 1
    assert whole(elsewhere(store), "the-mill") == "k2"


def test_a_writer_killed_before_any_put_leaves_the_old_or_the_new_context_whole(
    store: ContextStore, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "SECONDS_TO_LIVE", 0.0)
    monkeypatch.setattr(leases, "SECONDS_BETWEEN_LOOKS", 0.0)
    publish(store)
    keys = []
    for number in range(1000):
        bucket.dies_at = len(bucket.put_paths) + number
        try:
            change(store, "the-mill", "k2", b"New text of the dead")
        except Killed:
            keys.append(whole(elsewhere(store, f"machine-{number}"), "the-mill"))
            bucket.dies_at = None
            assert whole(store, "the-mill") == keys[-1]
            continue
        break
    assert keys == sorted(keys)
    assert keys.count("k1") >= 5, "two leases, two files, and the manifest"
    assert keys.count("k2") == 2, "then the leases are given back"
    bucket.dies_at = None
    assert whole(elsewhere(store), "the-mill") == "k2"


@pytest.mark.parametrize("name", ["mill", None])
def test_of_machines_that_publish_under_one_name_one_wins_and_without_a_name_all_do(
    store: ContextStore, name: str | None
) -> None:
    machines = [elsewhere(store, f"machine-{number}") for number in range(4)]

    def work(number: int) -> str:
        try:
            return publish(machines[number], f"k{number}", "Mill", name)
        except ContextExists:
            return "refused"

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(work, range(4), timeout=SECONDS))
    assert outcomes == (["mill", *["refused"] * 3] if name else ["mill", "mill-2", "mill-3", "mill-4"])
    assert len({whole(store, context_id) for context_id in store.ids()}) == (1 if name else 4)


def test_of_machines_that_change_one_context_each_starts_from_what_the_one_before_it_left(
    store: ContextStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "SECONDS_BETWEEN_LOOKS", 0.0)
    publish(store)
    machines = [elsewhere(store, f"machine-{number}") for number in range(3)]

    def append(number: int) -> None:
        machine = machines[number]
        with machine.changing("the-mill"):
            before = machine.manifest("the-mill")
            text = machine.reading("the-mill", lambda folder, manifest: (folder / TEXT).read_bytes())
            with machine.writing(f"k1{number}") as work:
                fill(work.draft)
                (work.draft / TEXT).write_bytes(text + str(number).encode())
                assert machine.replace("the-mill", work, manifest_of(f"k1{number}"), before)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(append, range(3), timeout=SECONDS))
    text = (store.folder("the-mill") / TEXT).read_bytes()
    assert sorted(text.decode().removeprefix("Text")) == ["0", "1", "2"]


def test_who_replaces_a_version_that_is_none_any_more_does_not_win(store: ContextStore) -> None:
    """Without the lock, as where a lease was lost."""
    publish(store)
    other, before = elsewhere(store), store.manifest("the-mill")
    with store.writing("k2") as work:
        fill(work.draft)
        change(other, "the-mill", "k3")
        assert not store.replace("the-mill", work, manifest_of("k2"), before)
    assert whole(store, "the-mill") == "k3"


def test_where_the_documents_are_from_outlives_a_memory_that_was_made_meanwhile(store: ContextStore) -> None:
    publish(store)
    before = store.manifest("the-mill")
    moved = before.model_copy(
        update={"documents": (before.documents[0].model_copy(update={"source": "/home/ann/a.txt"}),)}
    )
    with store.writing("k1") as work:
        store.reading("the-mill", work.begin_with)
        elsewhere(store).describe("the-mill", moved)
        assert store.replace("the-mill", work, before, before)
    assert elsewhere(store).manifest("the-mill").documents[0].source == "/home/ann/a.txt"
    assert whole(store, "the-mill") == "k1"


def test_a_copy_that_is_damaged_or_lost_is_got_again(store: ContextStore) -> None:
    publish(store)
    flip_a_byte(store.folder("the-mill"))
    assert whole(store, "the-mill") == "k1"
    (store.root / "the-mill" / MEMORY).unlink()
    assert whole(store, "the-mill") == "k1"


def test_the_text_of_a_damaged_context_memorized_again_is_whole(store: ContextStore, bucket: Bucket) -> None:
    publish(store)
    for path in blobs(bucket.put_paths):
        bucket.put(path, b"damaged")
    with pytest.raises(DamagedContext):
        whole(elsewhere(store, "one"), "the-mill")
    publish(store, "k1", name="again")
    assert whole(elsewhere(store, "two"), "again") == "k1"


def test_blobs_that_no_context_lists_are_cleared_after_a_day_and_others_are_not(
    store: ContextStore, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, title="one")
    change(store, "one", "k2")
    publish(store, "k3", "two")
    store.forget("two")
    held = {f"blobs/{entry.sha256}" for entry in store.manifest("one").files.values()}

    def there() -> set[str]:
        return {one["path"] for some in bucket.list("blobs/") for one in some}

    store.sweep()
    assert len(there()) == 3
    monkeypatch.setattr(versions, "SECONDS_KEPT", -1)
    whole_head = bytes(bucket.get("heads/one.json").bytes())
    bucket.put("heads/one.json", whole_head[1:])
    store.sweep()
    assert len(there()) == 3, "what a damaged context lists is not known"
    bucket.put("heads/one.json", whole_head)
    store.sweep()
    assert there() == held
    assert whole(elsewhere(store), "one") == "k2"
    assert [path.name for path in store.root.iterdir() if not path.name.startswith(".")] == ["one"]


def test_the_work_of_a_dead_machine_is_taken_over(store: ContextStore, monkeypatch: pytest.MonkeyPatch) -> None:
    other = elsewhere(store)
    assert isinstance(other, SharedStore)
    dead = leases.Lease(other.versions.bucket, "k1")
    assert dead.take()
    assert not leases.Lease(other.versions.bucket, "k1").take()
    monkeypatch.setattr(leases, "SECONDS_TO_LIVE", 0.0)
    monkeypatch.setattr(leases, "SECONDS_BETWEEN_LOOKS", 0.0)
    assert publish(store) == "the-mill"
    assert not dead.renew()


@pytest.fixture
def machines(store: ContextStore, settings: Settings, shared: Runtime) -> Iterator[Callable[[], MemoRAG]]:
    """Makes engines, each on a machine of its own, over the store."""
    made = list[MemoRAG]()

    def make() -> MemoRAG:
        engine = MemoRAG(settings, shared=shared)
        engine.store = engine.memorizer.store = elsewhere(store, f"machine-{len(made)}")
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.shared.context_cache.clear()


@pytest.mark.slow
def test_what_one_machine_memorized_another_answers_from_and_adds_to(machines: Callable[[], MemoRAG]) -> None:
    one, two = machines(), machines()
    info = one.memorize([from_text(STORY, "The mill")])
    question = "When were the gates hung?"
    first = two.answer(info.id, question)
    assert first.citations[0].quote in STORY
    assert two.memorize([from_text(STORY, "The mill")]).cached
    two.add(info.id, [from_text("The ferry did not sail on Monday.", "Ferry")])
    assert [document.title for document in one.documents(info.id)] == ["The mill", "Ferry"]
    assert one.info(info.id).ready == "memory"
    assert one.answer(info.id, question).text == two.answer(info.id, question).text
