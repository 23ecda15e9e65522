"""What runs out of memory gives up caches, goes on in halves, and at last is told; nothing is lost by it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import STORY

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.concurrency.device_memory import in_halves, watch_memory, with_memory
from memorag_core.concurrency.device_queue import FairQueue
from memorag_core.concurrency.journal import Form, Journal
from memorag_core.errors import DeviceMemoryFull
from memorag_core.memory.lite import LiteMemory
from memorag_core.models.lm.decode_batch import DecodeRow
from memorag_core.models.lm.decoding import decode
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.models.lm.prefix import Prefix
from memorag_core.models.lm.scheduler import DecodeScheduler
from memorag_core.models.lm.slots import SlotBuffers
from memorag_core.retrieval.dense import DenseRetriever

SHORTAGES = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9.06 GB)"),
    MemoryError("Unable to allocate 8 GiB for an array"),
]


@pytest.fixture(autouse=True)
def no_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Collecting the garbage of a whole test run takes half a second each time; nothing here needs it."""
    monkeypatch.setattr(gc, "collect", lambda: 0)


def at_most(items: int, asked: list[int], shortage: Exception) -> Callable[[Sequence[int]], list[int]]:
    """Work for which there is memory for so many items at once."""

    def work(batch: Sequence[int]) -> list[int]:
        asked.append(len(batch))
        if len(batch) > items:
            raise shortage
        return [10 * item for item in batch]

    return work


@pytest.mark.parametrize("shortage", SHORTAGES, ids=lambda error: str(error)[:24])
def test_a_batch_is_done_in_halves_once_caches_are_given_up(shortage: Exception) -> None:
    asked: list[int] = []
    given_up: list[str] = []
    with watch_memory(lambda: given_up.append("caches")):
        found = in_halves(range(7), at_most(2, asked, shortage))
    assert found == [0, 10, 20, 30, 40, 50, 60]
    assert asked == [7, 7, 3, 3, 1, 2, 4, 4, 2, 2]
    assert given_up == ["caches"] * 3


def test_one_item_too_large_is_told_with_what_to_do() -> None:
    with pytest.raises(DeviceMemoryFull, match=r"--device cpu.*CUDA out of memory"):
        in_halves(range(2), at_most(0, [], SHORTAGES[0]))


def test_other_errors_are_not_tried_again() -> None:
    asked: list[int] = []
    for error in (ValueError("a row too long"), RuntimeError("shapes cannot be multiplied")):
        with pytest.raises(type(error), match=str(error)):
            in_halves(range(4), at_most(1, asked, error))
    assert asked == [4, 4]


def test_what_failed_holds_no_memory_while_it_is_done_again() -> None:
    alive: list[bool] = []

    def work() -> str:
        held = Held()
        alive.append(Held.many > 1)
        if len(alive) == 1:
            raise torch.OutOfMemoryError("out of memory")
        return type(held).__name__

    assert with_memory(work) == "Held"
    assert alive == [False, False]


class Held:
    """Something that memory is taken by."""

    many = 0

    def __init__(self) -> None:
        Held.many += 1

    def __del__(self) -> None:
        Held.many -= 1


def test_what_runs_out_in_a_slot_is_told_and_the_slot_is_free_again() -> None:
    queue = FairQueue(2, 1.0)
    given_up: list[str] = []
    queue.give_up_caches = lambda: given_up.append("caches")
    with pytest.raises(DeviceMemoryFull, match="The memory of the device ran out"), queue.slot():
        raise SHORTAGES[0]
    with queue.slot():
        assert given_up == ["caches"]


def test_a_journal_keeps_what_was_made_in_halves(tmp_path: Path) -> None:
    form: Form[str] = Form("word", str.encode, bytes.decode)

    def make(sources: Sequence[str]) -> list[str]:
        if len(sources) > 1:
            raise SHORTAGES[0]
        return [source.upper() for source in sources]

    assert Journal(tmp_path / "journal").finish(form, ["a", "b", "c"], make) == ["A", "B", "C"]
    again = Journal(tmp_path / "journal").finish(form, ["a", "b", "c"], lambda missing: pytest.fail(str(missing)))
    assert again == ["A", "B", "C"]


@pytest.fixture(scope="module")
def lm(tiny_models: Path) -> LanguageModel:
    return LanguageModel.load(tiny_models / "lm", "cpu")


def limit_slots(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Let there be memory for the buffers of so many rows."""
    make = SlotBuffers.__init__

    def make_few(buffers: SlotBuffers, model: Any, slots: int, capacity: int) -> None:
        if slots > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        make(buffers, model, slots, capacity)

    monkeypatch.setattr(SlotBuffers, "__init__", make_few)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_rows_that_find_no_memory_wait_until_others_leave(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    [ids] = lm.encode([STORY])
    prompts = [ids[start : start + 12] for start in range(7)]
    alone = [decode(Prefix(lm.model), [prompt], 5 + number, lm.stop)[0] for number, prompt in enumerate(prompts)]
    limit_slots(monkeypatch, most)
    scheduler = DecodeScheduler(lm.stop)
    rows = [DecodeRow(prompt, 5 + number) for number, prompt in enumerate(prompts)]
    assert scheduler.decode(rows, Prefix(lm.model), lambda _: None) == alone
    assert scheduler.decode([DecodeRow(prompts[0], 5)], Prefix(lm.model), lambda _: None) == alone[:1]


def test_a_row_that_finds_no_memory_when_none_runs_is_told(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_slots(monkeypatch, 0)
    scheduler = DecodeScheduler(lm.stop)
    scheduler.give_up_buffers()
    with pytest.raises(DeviceMemoryFull):
        scheduler.decode([DecodeRow([1, 2, 3], 5)], Prefix(lm.model), lambda _: None)


def test_a_step_that_ran_out_goes_on_where_it_was(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    [ids] = lm.encode([STORY])
    prompts = [ids[:9], ids[3:12]]
    alone = [decode(Prefix(lm.model), [prompt], 20, frozenset())[0] for prompt in prompts]
    forward, calls = lm.model.forward, [0]

    def stumble(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] in (4, 15):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(*args, **kwargs)

    monkeypatch.setattr("memorag_core.models.lm.decode_batch.STEPS_A_LOOK", {"cpu": 8})
    monkeypatch.setattr(lm.model, "forward", stumble)
    rows = [DecodeRow(prompt, 20) for prompt in prompts]
    assert DecodeScheduler(frozenset()).decode(rows, Prefix(lm.model), lambda _: None) == alone
    assert calls[0] == 22


def test_a_context_made_with_little_memory_is_the_same(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = from_text(STORY * 20, "story")
    whole = MemoRAG(settings.model_copy(update={"store": tmp_path / "whole"}))
    first = whole.memorize([text])
    encode, remember = DenseRetriever.encode, LiteMemory._remember_text
    failed: list[bool] = []

    def encode_few(retriever: DenseRetriever, texts: Sequence[str], *kind: Any) -> Any:
        if len(texts) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return encode(retriever, texts, *kind)

    def remember_later(memory: LiteMemory, *args: Any) -> Any:
        if not failed:
            failed.append(True)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return remember(memory, *args)

    monkeypatch.setattr(DenseRetriever, "encode", encode_few)
    monkeypatch.setattr(LiteMemory, "_remember_text", remember_later)
    little = MemoRAG(settings.model_copy(update={"store": tmp_path / "little"}), shared=whole.shared)
    second = little.memorize([text])
    assert failed
    assert (second.ready, second.chunks, second.memory_tokens) == ("memory", first.chunks, first.memory_tokens)
    one, other = whole.retrieve(first.id, "Whose?"), little.retrieve(second.id, "Whose?")
    assert [passage.chunk for passage in one] == [passage.chunk for passage in other]
    assert little.context(second.id).memory.notes == whole.context(first.id).memory.notes  # type: ignore[union-attr]
