"""Any memory, asked again and again: it stays what it was, and asking leaves nothing behind."""

from __future__ import annotations

import doctest
import gc
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from beacon_checkpoints import write
from conftest import STORY
from latent_checkpoints import load as load_latent
from latent_checkpoints import write as write_latent

from memorag_core.concurrency.progress import SILENT
from memorag_core.memory import BeaconMemory, KeyValueMemory, LiteMemory, base
from memorag_core.models.beacon.model import BeaconModel
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.types import Document

BOOK = [Document("book", "book", "\n".join(f"Day {n}. {STORY}" for n in range(20)))]
QUESTIONS = ["Who kept the book?", "When were the gates hung, and by whom, as far as the book says?"]


def lite(tiny_models: Path, folder: Path) -> KeyValueMemory:
    return LiteMemory(LanguageModel.load(tiny_models / "lm", "cpu"), chunk=1024, gist=500, budget=4096)


def beacon(tiny_models: Path, folder: Path) -> KeyValueMemory:
    lm = LanguageModel.load(write(folder, tiny_models / "lm", 600, window=64, ratio=[2], sink_size=2), "cpu")
    return BeaconMemory(lm, BeaconModel.beside(lm.model, folder))


def latent(tiny_models: Path, folder: Path) -> KeyValueMemory:
    return load_latent(write_latent(folder))


def live_bytes() -> int:
    """Bytes of all tensors that anything still holds."""
    gc.collect()
    return sum(item.nbytes for item in gc.get_objects() if type(item) is torch.Tensor)


@pytest.mark.parametrize("kind", [lite, beacon, pytest.param(latent, marks=pytest.mark.slow)])
def test_a_memory_asked_a_hundred_times_is_what_it_was_bit_for_bit_and_memory_use_is_flat(
    kind: Callable[[Path, Path], KeyValueMemory], tiny_models: Path, tmp_path: Path
) -> None:
    model = kind(tiny_models, tmp_path)
    memory = model.memorize(BOOK, SILENT)
    tensors = (*memory.state.keys, *memory.state.values)
    places, before = [t.data_ptr() for t in tensors], [t.clone() for t in tensors]
    first = [model.ask(memory, QUESTIONS, 2) for _ in range(5)]
    held, resident = live_bytes(), psutil.Process().memory_info().rss
    replies = [model.ask(memory, QUESTIONS, 2) for _ in range(100)]
    assert live_bytes() == held
    assert psutil.Process().memory_info().rss - resident < 20 * memory.state.nbytes, (
        "a copy a question would be a hundred"
    )
    assert replies == first[:1] * 100
    assert [t.data_ptr() for t in tensors] == places
    assert all(torch.equal(*pair) for pair in zip(tensors, before, strict=True))


def test_the_example_of_a_memory_without_retrieval_or_server_runs(tiny_models: Path, tmp_path: Path) -> None:
    [example] = doctest.DocTestFinder(recurse=False).find(
        base.MemoryModel, "MemoryModel", globs={"model": tiny_models / "lm", "folder": tmp_path}
    )
    assert len(example.examples) >= 10
    assert doctest.DocTestRunner().run(example).failed == 0
