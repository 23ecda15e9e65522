"""A memory whose making is interrupted goes on at the last part that was kept, and becomes what it would have been."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from beacon_checkpoints import write
from conftest import STORY
from latent_checkpoints import load as load_latent
from latent_checkpoints import write as write_latent

from memorag_core.concurrency.journal import Journal
from memorag_core.concurrency.progress import SILENT, ProgressScope
from memorag_core.errors import Interrupted
from memorag_core.memory import BeaconMemory, KeyValueMemory, LongMemory, Memory
from memorag_core.models.beacon.model import BeaconModel
from memorag_core.models.lm.kv_compression import KVZIP
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.types import Document, Progress

TEXTS = [Document("a", "a", STORY * 8), Document("b", "b", STORY[::-1] * 4)]


def beacon(folder: Path, lm: Path, ratio: int) -> KeyValueMemory:
    written = write(folder / "beacon", lm, 600, window=32, ratio=[4], sink_size=2)
    loaded = LanguageModel.load(written, "cpu")
    return BeaconMemory(loaded, BeaconModel.beside(loaded.model, written, ratio))


def long(_: Path, lm: Path, ratio: int) -> KeyValueMemory:
    return LongMemory(LanguageModel.load(lm, "cpu"), ratio, segment=64)


def latent(folder: Path, _: Path, ratio: int) -> KeyValueMemory:
    return load_latent(write_latent(folder / "latent", ratio, window=16))


def interrupted(scope_of: Callable[[ProgressScope], Memory], journal: Path, after: int) -> list[float]:
    """Stop at a step of the work; the shares that were done until then."""
    done: list[float] = []

    def stop(progress: Progress) -> None:
        done.append(progress.fraction)
        if len(done) > after:
            raise Interrupted

    with pytest.raises(Interrupted):
        scope_of(ProgressScope(stop, journal=Journal(journal)))
    return done


def replayed(_: Path, lm: Path, ratio: int) -> KeyValueMemory:
    return LongMemory(LanguageModel.load(lm, "cpu"), ratio, KVZIP, segment=64)


@pytest.mark.parametrize(
    ("kind", "ratio"),
    [(beacon, 4), (long, 1), (long, 4), (replayed, 4), (latent, 4)],
    ids=["beacon", "long", "compressed", "by head", "latent"],
)
@pytest.mark.parametrize("changed", [False, True], ids=["new", "changed"])
def test_reading_goes_on_at_the_last_part_that_was_kept(
    tiny_models: Path, tmp_path: Path, kind: Callable[[Path, Path, int], KeyValueMemory], ratio: int, changed: bool
) -> None:
    model = kind(tmp_path, tiny_models / "lm", ratio)
    before = model.memorize(TEXTS[1:], SILENT) if changed else None

    def make(progress: ProgressScope) -> Memory:
        if before:
            return model.update(before, TEXTS[1:], [*TEXTS[1:], TEXTS[0]], progress)
        return model.memorize(TEXTS, progress)

    expected, path, steps = make(SILENT), tmp_path / "journal", list[float]()
    for after in (3, 7, 7):
        interrupted(make, path, after)
    whole = make(ProgressScope(lambda progress: steps.append(progress.fraction), journal=Journal(path)))
    all_steps: list[float] = []
    make(ProgressScope(lambda progress: all_steps.append(progress.fraction)))
    assert len(steps) < len(all_steps) - 8
    assert whole.notes == expected.notes
    assert whole.state.next_position == expected.state.next_position
    for kept, at_once in zip(
        (*whole.state.keys, *whole.state.values), (*expected.state.keys, *expected.state.values), strict=True
    ):
        assert torch.equal(kept, at_once)
