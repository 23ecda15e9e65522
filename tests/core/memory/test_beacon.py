"""Beacon memory computes what the original computes, however read and asked, and leaves model and memory alone."""

from __future__ import annotations

import json
import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from beacon_checkpoints import reference, write
from conftest import SHARED, STORY, load_exactly
from fake_cuda import build_on_meta, fake_cuda, put_on_cuda
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from benchmarks.parity import checkpoints, compare, main
from memorag_core.concurrency.device_queue import FairQueue
from memorag_core.concurrency.progress import SILENT, ProgressScope
from memorag_core.config import PROFILES, Settings
from memorag_core.errors import Cancelled, InputError, ModelUnavailable
from memorag_core.memory import BeaconMemory, open_memory
from memorag_core.memory.base import Memory
from memorag_core.models.beacon.model import BeaconModel, BeaconState, read_weights
from memorag_core.models.beacon.prefix import BeaconPrefix
from memorag_core.models.beacon.reading import BeaconReading, read
from memorag_core.models.lm.decode_batch import DecodeBatch, DecodeRow
from memorag_core.models.lm.decoding import decode
from memorag_core.models.lm.graphs import StepGraphs, StepShape
from memorag_core.models.lm.head_layout import head_width
from memorag_core.models.lm.key_values import KeyValues
from memorag_core.models.weights import Weights
from memorag_core.types import Document, Progress

FIXTURES = checkpoints([SHARED / "parity"])
IDS = random.Random(3).choices(range(60), k=130)
SECONDS = 60.0
QUESTIONS = ["Who kept the book?", "When were the gates hung, and by whom, as far as the book says?", "Why?"]


def documents(*texts: str) -> list[Document]:
    return [Document(str(number), str(number), text) for number, text in enumerate(texts)]


def logits_of(model: BeaconModel, ids: list[int], state: BeaconState | None = None) -> torch.Tensor:
    """Logits after every token, fed one by one."""
    reading = BeaconReading(model, len(ids), state)
    return torch.cat([reading.feed([token]) for token in ids])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    return write(tmp_path_factory.mktemp("beacon"), tiny_models / "lm", 600, window=32, ratio=[2, 4, 8], sink_size=2)


@pytest.fixture(scope="module")
def memory_model(checkpoint: Path, device: str) -> BeaconMemory:
    lm = load_exactly(checkpoint, device)
    return BeaconMemory(lm, BeaconModel.beside(lm.model, checkpoint))


@pytest.fixture(scope="module")
def memory(memory_model: BeaconMemory) -> Memory:
    return memory_model.memorize(documents(STORY, STORY[::-1]), SILENT)


@pytest.mark.skipif(not FIXTURES, reason="the parity fixtures are not beside this checkout")
@pytest.mark.parametrize("folder", FIXTURES, ids=lambda folder: folder.name)
@pytest.mark.parametrize("seed", [None, 11], ids=["in one call", "in pieces"])
def test_every_case_agrees_with_the_original(folder: Path, seed: int | None) -> None:
    model = BeaconModel.load(folder)
    outcomes = [compare(model, path, seed) for path in sorted(folder.glob("case*.safetensors"))]
    assert outcomes
    assert [outcome for outcome in outcomes if not outcome.agrees] == []


@pytest.mark.parametrize(
    ("param", "window", "ratio", "sink"),
    [("qkv", 24, 4, 0), ("qkvo", 24, 8, 1), ("kv", 40, 32, 3), ("o", 16, 2, 5), ("q", 25, 3, 2), ("", 18, 4, 0)],
)
def test_a_llama_with_any_setting_agrees_with_a_reference_that_does_entry_after_entry(
    tmp_path: Path, param: str, window: int, ratio: int, sink: int
) -> None:
    write(tmp_path, param=list(param), window=window, ratio=[ratio], sink_size=sink)
    model = BeaconModel.load(tmp_path)
    expected = reference(tmp_path, IDS)
    torch.testing.assert_close(logits_of(model, IDS), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(logits_of(model, IDS[97:], read(model, IDS[:97])), expected[97:], atol=1e-4, rtol=0)


def test_without_beacons_the_logits_are_those_of_the_plain_model(tmp_path: Path) -> None:
    plain = AutoModelForCausalLM.from_pretrained(write(tmp_path))
    expected = plain(torch.tensor([IDS])).logits[0].detach()
    off, on = (BeaconModel.load(tmp_path, ratio=ratio) for ratio in (0, 24))
    torch.testing.assert_close(logits_of(off, IDS), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(logits_of(on, IDS[:23]), expected[:23], atol=1e-4, rtol=0)


def test_the_model_gives_the_plain_output_to_the_bit_after_beacons_and_after_an_exception(checkpoint: Path) -> None:
    model = BeaconModel.load(checkpoint)
    ids = torch.tensor([IDS])
    plain = model.model(ids).logits
    modules = [name for name, _ in model.model.named_modules()]
    read(model, IDS)
    assert torch.equal(model.model(ids).logits, plain)
    with model.projections(slice(0, None, 2), slice(1, None, 2)):
        assert [name for name, _ in model.model.named_modules()] != modules
    with pytest.raises(RuntimeError, match="size"):
        model.hidden(torch.tensor([IDS[:4]]), 0, position_ids=torch.arange(7)[None])
    assert [name for name, _ in model.model.named_modules()] == modules
    assert torch.equal(model.model(ids).logits, plain)


def test_tokens_go_through_ordinary_projections_only_and_beacons_through_their_own_only(checkpoint: Path) -> None:
    model = BeaconModel.load(checkpoint)
    ordinary: Any = model.model.base_model.layers[0].self_attn.q_proj  # type: ignore[index, union-attr]  # untyped
    own = model.own["model.layers.0.self_attn.beacon_q_proj"]
    entries = {"tokens": 0, "beacons": 0}

    def count(name: str) -> Any:
        def hook(module: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
            entries[name] += given[0].numel() // given[0].shape[-1]

        return hook

    ordinary.register_forward_pre_hook(count("tokens"))
    own.register_forward_pre_hook(count("beacons"))
    read(model, IDS[:66])
    assert entries == {"tokens": 66, "beacons": 66 // 4}


def test_reading_only_to_remember_leaves_the_state_of_reading_with_logits(checkpoint: Path) -> None:
    for ratio in (0, 4):
        model = BeaconModel.load(checkpoint, ratio=ratio)
        reading = BeaconReading(model, len(IDS))
        reading.feed(IDS)
        expected, found = reading.state(), read(model, IDS)
        assert found.read == expected.read
        torch.testing.assert_close(found.key_values.keys, expected.key_values.keys, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.key_values.values, expected.key_values.values, atol=1e-5, rtol=1e-5)


def test_the_ratio_is_the_checkpoint_s_or_the_one_chosen_at_load(checkpoint: Path, tiny_models: Path) -> None:
    assert BeaconModel.load(checkpoint).layout.ratio == 4
    sizes = [read(BeaconModel.load(checkpoint, ratio=ratio), IDS[:64]).key_values.tokens for ratio in (2, 8, 32)]
    assert sizes == [2 + 32, 2 + 8, 2 + 2]
    for ratio in (1, 33, -4):
        with pytest.raises(InputError, match="choose a number from 2 to 32"):
            BeaconModel.load(checkpoint, ratio=ratio)


PROMPTS = [IDS[:3], IDS[20:57], IDS[60:130], [*IDS[20:55], 1, 2, 3], IDS[20:52], IDS[20:51]]
BEHIND = [1, 21, 64, 90]
"""Tokens of a memory: within the first window, where no entry is folded; at the end of one; within the third."""
STOP = frozenset(range(0, 600, 40))


@pytest.mark.parametrize("behind", BEHIND)
def test_rows_that_fold_at_different_times_reply_as_each_would_alone(memory_model: BeaconMemory, behind: int) -> None:
    state = read(memory_model.beacons, IDS[:behind])
    prefix = BeaconPrefix(memory_model.beacons, state)
    replies = decode(prefix, PROMPTS, 40)
    assert replies == [decode(prefix, [prompt], 40)[0] for prompt in PROMPTS]
    logits = logits_of(memory_model.beacons, [*PROMPTS[1], *replies[1]], state)
    assert logits[len(PROMPTS[1]) - 1 : -1].argmax(-1).tolist() == replies[1]


@pytest.mark.parametrize("as_on_cuda", [False, True])
@pytest.mark.parametrize("behind", BEHIND)
def test_rows_that_join_and_leave_reply_as_each_would_alone_and_leave_the_memory_as_it_was(
    memory_model: BeaconMemory, monkeypatch: pytest.MonkeyPatch, behind: int, as_on_cuda: bool
) -> None:
    state = read(memory_model.beacons, IDS[:behind])
    prefix = BeaconPrefix(memory_model.beacons, state)
    alone = [decode(prefix, [prompt], 45, STOP, 1.1)[0] for prompt in PROMPTS]
    before = [tensor.clone() for tensor in (*state.key_values.keys, *state.key_values.values)]
    if as_on_cuda:  # a look every few steps, and steps of more rows and entries than there are
        monkeypatch.setattr("memorag_core.models.lm.decode_batch.STEPS_A_LOOK", {"cpu": 5})
        monkeypatch.setattr(StepGraphs, "run", lambda graphs, step, shape: step(graphs.bucket(shape)))
    draw, joined, cancelled = random.Random(behind), list[tuple[int, DecodeRow]](), list[DecodeRow]()
    batch = DecodeBatch(prefix, STOP)
    while len(joined) < 14 or batch.rows:
        if len(joined) < 14 and draw.random() < 0.6:
            drawn = draw.choices(range(len(PROMPTS)), k=draw.randint(1, 3))
            rows = [DecodeRow(PROMPTS[number], draw.randint(1, 45), 1.1) for number in drawn]
            batch.join(rows)
            joined += zip(drawn, rows, strict=True)
        batch.advance()
        if batch.rows and draw.random() < 0.1:
            cancelled.append(draw.choice(batch.rows))
            batch.leave(cancelled[-1])
    for number, row in joined:
        most = len(row.reply) if row in cancelled else row.max_new_tokens
        assert row.reply == alone[number][:most]
    after = (*state.key_values.keys, *state.key_values.values)
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_questions_of_many_threads_over_one_memory_run_in_one_batch(
    memory_model: BeaconMemory, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [memory_model.ask(memory, [question], 24) for question in QUESTIONS]
    queue, begun, most, advance = FairQueue(8, SECONDS), threading.Event(), [0], DecodeBatch.advance

    def count(batch: DecodeBatch) -> None:
        most[0] = max(most[0], len(batch.rows))
        advance(batch)

    def ask(question: str) -> list[str]:
        with queue.slot():
            begun.wait(SECONDS)
            return memory_model.ask(memory, [question], 24)

    monkeypatch.setattr(DecodeBatch, "advance", count)
    with ThreadPoolExecutor(len(QUESTIONS)) as pool:
        futures = [pool.submit(ask, question) for question in QUESTIONS]
        for _ in range(6000):
            if queue.waiting == len(QUESTIONS) - 1 or begun.wait(0.01):
                break
        begun.set()
        assert [future.result(SECONDS) for future in futures] == alone
    assert most == [len(QUESTIONS)]


def test_steps_and_passes_on_cuda_mix_no_devices_and_steps_read_nothing_back(checkpoint: Path) -> None:
    loaded = BeaconModel.load(checkpoint)
    model, weights = build_on_meta(loaded.model.config), read_weights(checkpoint)
    with fake_cuda():
        put_on_cuda(model)
        on_cuda = {name: torch.zeros(part.shape, device="cuda") for name, part in weights.items()}
        beacons = BeaconModel(model, loaded.layout, on_cuda)
        shape = (1, model.config.num_key_value_heads, loaded.layout.entries(90), head_width(model.config))
        entries = [torch.zeros(shape, dtype=model.dtype, device="cuda") for _ in range(model.config.num_hidden_layers)]
        prefix = BeaconPrefix(beacons, BeaconState(KeyValues(entries, entries, shape[2]), 90))
        batch = DecodeBatch(prefix, frozenset())
        batch.reserve(3, 64)
        for entries_a_row in (1, 2):
            batch.step(StepShape(3, 64, entries_a_row))
            batch.step(StepShape(3, 64, entries_a_row, "some"))
            batch.step(StepShape(3, 64, entries_a_row, "none"))
        with pytest.raises(RuntimeError, match="local_scalar"):
            batch.last.tolist()
        assert prefix.read([IDS[:9], IDS[:4]], 0, batch._buffers, 1).is_cuda
        prefix.fold(batch._buffers, 1, loaded.layout.window - 90 % loaded.layout.window)
        assert read(beacons, IDS).key_values.keys[0].is_cuda


def test_questions_asked_together_are_answered_as_one_by_one(memory_model: BeaconMemory, memory: Memory) -> None:
    together = memory_model.ask(memory, QUESTIONS, 24)
    assert together == [memory_model.ask(memory, [question], 24)[0] for question in QUESTIONS]
    assert any(together)


def test_a_saved_and_loaded_memory_gives_the_same_answer(
    memory_model: BeaconMemory, memory: Memory, tmp_path: Path
) -> None:
    memory_model.save(memory, tmp_path)
    loaded = memory_model.load(tmp_path)
    assert loaded.notes == memory.notes
    assert memory_model.ask(loaded, QUESTIONS, 16) == memory_model.ask(memory, QUESTIONS, 16)


def test_memorizing_tells_of_every_window_and_stops_where_it_is_told_to(memory_model: BeaconMemory) -> None:
    steps: list[int] = []

    def stop_at_third(progress: Progress) -> None:
        steps.append(progress.done)
        if len(steps) == 3:
            raise Cancelled

    plain = memory_model.lm.model(torch.tensor([IDS], device=memory_model.lm.model.device)).logits
    with pytest.raises(Cancelled):
        memory_model.memorize(documents(STORY * 2), ProgressScope(stop_at_third))
    assert steps == [32, 64, 96]
    assert torch.equal(memory_model.lm.model(torch.tensor([IDS], device=memory_model.lm.model.device)).logits, plain)


def test_a_profile_opens_the_memory_by_its_kind_with_its_ratio(checkpoint: Path, tmp_path: Path) -> None:
    profile = replace(PROFILES["beacon"], memory_model=str(checkpoint), beacon_ratio=8)
    weights = Weights(Settings.of(device="cpu", models_dir=tmp_path), lambda _: None)
    model = open_memory(profile, weights)
    assert model.settings() == {"ratio": 8, "window": 32, "sink": 2}
    memory = model.memorize(documents(STORY), SILENT)
    assert isinstance(model, BeaconMemory)
    [tokens] = model.lm.count([model.lm.chat_head + STORY])
    assert memory.state.tokens == 2 + tokens // 8 + tokens % 32


def test_code_in_a_repository_is_not_run_and_shards_are_read(tmp_path: Path) -> None:
    write(tmp_path)
    expected = logits_of(BeaconModel.load(tmp_path), IDS[:30])
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    config |= {"architectures": ["Other"], "auto_map": {"AutoConfig": "o.C", "AutoModelForCausalLM": "o.M"}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "o.py").write_text("raise SystemExit('run')", encoding="utf-8")
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    placed = {name: f"model-{number % 2}.safetensors" for number, name in enumerate(sorted(tensors))}
    for file in set(placed.values()):
        save_file({name: t for name, t in tensors.items() if placed[name] == file}, tmp_path / file, {"format": "pt"})
    index = json.dumps({"metadata": {}, "weight_map": placed})
    (tmp_path / "model.safetensors.index.json").write_text(index, encoding="utf-8")
    torch.testing.assert_close(logits_of(BeaconModel.load(tmp_path), IDS[:30]), expected, atol=1e-4, rtol=0)


def test_what_is_not_a_beacon_checkpoint_of_this_kind_is_refused_with_the_reason(
    tmp_path: Path, tiny_models: Path
) -> None:
    with pytest.raises(ModelUnavailable, match="no beacons"):
        BeaconModel.load(tiny_models / "lm")
    others: dict[str, Any] = {"pos": "append", "stride": 12, "attend_prev": False, "parallel_window": 2}
    for name, other in others.items():
        with pytest.raises(ModelUnavailable, match=f"beacon_{name}"):
            BeaconModel.load(write(tmp_path / name, **{name: other}))
    with pytest.raises(ModelUnavailable, match="only q, k, v and o"):
        BeaconModel.load(write(tmp_path / "param", param=["q", "mlp"]))
    tensors = load_file(write(tmp_path / "lost") / "model.safetensors")
    del tensors["model.layers.1.self_attn.beacon_k_proj.weight"]
    save_file(tensors, tmp_path / "lost" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelUnavailable, match=r"layers\.1\.self_attn\.beacon_k_proj"):
        BeaconModel.load(tmp_path / "lost")
    tensors = {name: tensor for name, tensor in tensors.items() if "lm_head" not in name}
    save_file(tensors, tmp_path / "lost" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelUnavailable, match="lack lm_head"):
        BeaconModel.load(tmp_path / "lost")


@pytest.mark.skipif(not FIXTURES, reason="the parity fixtures are not beside this checkout")
def test_the_parity_benchmark_fails_where_a_logit_or_an_id_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(FIXTURES[0], tmp_path / "a", ignore=shutil.ignore_patterns("case[1-9]*"))
    [path] = (tmp_path / "a").glob("case0*")
    assert main([str(tmp_path)]) == 0
    case = load_file(path)
    path.unlink()
    save_file(case | {"query_last_logits": case["query_last_logits"] + 2e-4}, path)
    assert main([str(tmp_path)]) == 1
    path.unlink()
    save_file(case | {"greedy_ids": (case["greedy_ids"] + 1) % 512}, path)
    assert main([str(tmp_path)]) == 1
    assert main([str(tmp_path / "nowhere")]) == 1
    assert "OTHER" in capsys.readouterr().out
