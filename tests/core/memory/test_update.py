"""A memory whose documents change becomes what memorizing the new ones at once gives, and reads only what it must."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from beacon_checkpoints import write
from conftest import SHARED, STORY
from latent_checkpoints import load as load_latent
from latent_checkpoints import write as write_latent

from benchmarks.parity import checkpoints
from memorag_core.concurrency.progress import SILENT, ProgressScope
from memorag_core.memory import BeaconMemory, KeyValueMemory, LatentMemory, LiteMemory, Memory
from memorag_core.models.beacon.model import BeaconModel
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.text.chunking import split
from memorag_core.types import Document, Progress

FIXTURES = checkpoints([SHARED / "parity"])
TEXTS = {
    "a": STORY,
    "b": STORY[::-1],
    "c": STORY[40:],
    "d": STORY.upper(),
    "e": "At noon.",
    "C": STORY[40:] + "Then it fell.",
}
CHANGES = {
    "one appended": ("ab", "abc"),
    "two appended": ("a", "abc"),
    "a short one appended": ("ab", "abe"),
    "the first removed": ("abc", "bc"),
    "one in the middle removed": ("abc", "ac"),
    "the last removed": ("abc", "ab"),
    "a short last one removed": ("abe", "ab"),
    "one replaced": ("abc", "adc"),
    "all replaced": ("ab", "cd"),
    "the last one longer": ("abc", "abC"),
    "the order changed": ("abc", "acb"),
    "nothing changed": ("ab", "ab"),
}
changed = pytest.mark.parametrize(("old", "new"), CHANGES.values(), ids=CHANGES)


def documents(names: str) -> list[Document]:
    return [Document(name, name, TEXTS[name]) for name in names]


def assert_equal(memory: Memory, expected: Memory) -> None:
    assert memory.notes == expected.notes
    assert memory.state.next_position == expected.state.next_position
    torch.testing.assert_close(memory.state.keys, expected.state.keys, atol=1e-4, rtol=0)
    torch.testing.assert_close(memory.state.values, expected.state.values, atol=1e-4, rtol=0)


def assert_updates_to_the_whole(model: KeyValueMemory, old: str, new: str) -> None:
    memory = model.memorize(documents(old), SILENT)
    tensors = (*memory.state.keys, *memory.state.values)
    before = [tensor.clone() for tensor in tensors]
    updated = model.update(memory, documents(old), documents(new), SILENT)
    assert_equal(updated, model.memorize(documents(new), SILENT))
    assert all(torch.equal(*pair) for pair in zip(tensors, before, strict=True))
    assert not {t.data_ptr() for t in tensors} & {t.data_ptr() for t in (*updated.state.keys, *updated.state.values)}


@pytest.fixture(scope="module", params=[(4, 2, 32), (8, 0, 25), (0, 0, 32)], ids=["4", "8", "off"])
def beacons(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_models: Path
) -> BeaconMemory:
    ratio, sink, window = request.param
    folder = write(
        tmp_path_factory.mktemp("beacon"), tiny_models / "lm", 600, window=window, ratio=[4, 8], sink_size=sink
    )
    lm = LanguageModel.load(folder, "cpu")
    return BeaconMemory(lm, BeaconModel.beside(lm.model, folder, ratio))


@pytest.fixture(scope="module")
def lite(tiny_models: Path) -> LiteMemory:
    return LiteMemory(LanguageModel.load(tiny_models / "lm", "cpu"), chunk=64, gist=8, budget=128)


@pytest.fixture(scope="module")
def latent(tmp_path_factory: pytest.TempPathFactory) -> LatentMemory:
    return load_latent(write_latent(tmp_path_factory.mktemp("latent")))


@changed
def test_a_latent_memory_is_updated_to_that_of_the_whole(latent: LatentMemory, old: str, new: str) -> None:
    assert_updates_to_the_whole(latent, old, new)


@changed
def test_a_beacon_memory_is_updated_to_that_of_the_whole(beacons: BeaconMemory, old: str, new: str) -> None:
    assert_updates_to_the_whole(beacons, old, new)


@changed
def test_a_lite_memory_is_updated_to_that_of_the_whole(lite: LiteMemory, old: str, new: str) -> None:
    assert_updates_to_the_whole(lite, old, new)


@pytest.mark.skipif(not FIXTURES, reason="the parity fixtures are not beside this checkout")
@pytest.mark.parametrize("folder", FIXTURES, ids=lambda folder: folder.name)
def test_a_published_checkpoint_is_updated_to_the_memory_of_the_whole(folder: Path) -> None:
    letters = SimpleNamespace(chat_head="\0", encode=lambda texts: [[ord(letter) for letter in t] for t in texts])
    letters.whole = letters
    model = BeaconMemory(cast(LanguageModel, letters), BeaconModel.load(folder))
    for old, new in (("a", "ac"), ("abe", "ab"), ("abc", "adc")):
        assert_updates_to_the_whole(model, old, new)


def test_a_beacon_memory_reads_on_from_the_change_or_from_the_window_border_before_it(beacons: BeaconMemory) -> None:
    ratio, window = beacons.beacons.layout.ratio, beacons.beacons.layout.window
    first, three = (beacons.memorize(documents(names), SILENT) for names in ("a", "abc"))
    behind = first.notes["read"]

    def read(memory: Memory, old: str, new: str) -> list[int]:
        told: list[Progress] = []
        updated = beacons.update(memory, documents(old), documents(new), ProgressScope(told.append))
        return [*dict.fromkeys(progress.total for progress in told), updated.notes["read"]]

    again = behind % window if ratio else 0
    [appended, whole] = read(first, "a", "abc")
    assert appended == whole - behind
    [after_removal, whole] = read(three, "abc", "ac")
    assert after_removal <= whole - behind + again
    assert read(three, "abc", "abc") == [three.notes["read"]]


def test_a_latent_memory_encodes_only_windows_behind_the_change(
    latent: LatentMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = latent.memorize(documents("abc"), SILENT)
    encoded: list[Sequence[int]] = []
    encode = latent.encoder.encode

    def counted(windows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        encoded.extend(windows)
        return encode(windows)

    monkeypatch.setattr(latent.encoder, "encode", counted)
    latent.update(memory, documents("abc"), documents("abce"), SILENT)
    assert encoded == latent.lay_out(documents("e")).windows
    encoded.clear()
    latent.update(memory, documents("abc"), documents("ab"), SILENT)
    assert encoded == []
    changed = latent.lay_out(documents("abC")).windows
    alike = sum(1 for window in latent.lay_out(documents("abc")).windows if window in changed)
    latent.update(memory, documents("abc"), documents("abC"), SILENT)
    assert encoded == changed[alike:]


def test_gists_of_what_is_still_there_are_kept_and_only_those_of_new_parts_written(
    lite: LiteMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    generate = lite.lm.generate

    def counted(instructions: Sequence[str], *arguments: Any, **options: Any) -> list[str]:
        asked.extend(instructions)
        return generate(instructions, *arguments, **options)

    memory = lite.memorize(documents("abc"), SILENT)
    monkeypatch.setattr(lite.lm, "generate", counted)
    monkeypatch.setattr(lite, "budget", 4096)  # gists are not condensed again
    removed = lite.update(memory, documents("abc"), documents("ca"), SILENT)
    assert asked == []
    gists = {note["document"]: note["gist"] for note in memory.notes["gists"]}
    assert {note["document"]: note["gist"] for note in removed.notes["gists"]} == {n: gists[n] for n in "ac"}
    lite.update(memory, documents("abc"), documents("abcd"), SILENT)
    parts = [TEXTS["d"][start:end] for start, end in split(TEXTS["d"], lite.chunk, lite.lm.count)]
    assert 0 < len(asked) <= len(parts)
    assert all(any(part in request for part in parts) for request in asked)


def test_in_another_language_no_gist_is_kept(lite: LiteMemory) -> None:
    chinese = [Document("zh", "zh", "村雨城是一座城。" * 300)]
    memory = lite.memorize(documents("a"), SILENT)
    both = [*documents("a"), *chinese]
    assert_equal(lite.update(memory, documents("a"), both, SILENT), lite.memorize(both, SILENT))
