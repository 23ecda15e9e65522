"""A run: the loss falls, it goes on where it stopped, it changes the beacons alone, and what it leaves is a memory."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SAMPLES, STORY
from safetensors.torch import load_file, save_file

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.config import PROFILES
from memorag_core.errors import InputError, ModelUnavailable
from memorag_core.memory import BeaconMemory
from memorag_core.models.beacon.model import BeaconModel
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.models.weights import Weights
from memorag_core.training.checkpoint import begin, write
from memorag_core.training.loop import Step, Training, accelerator_for, losses
from memorag_core.training.plan import TrainingPlan
from memorag_core.training.rows import Batches, Row, cut
from memorag_core.training.texts import record_rows, text_rows, texts_at
from memorag_core.training.windows import BeaconLoss

PLAN = TrainingPlan(steps=8, batch=4, at_once=2, windows=3, window=32, ratios=(2, 4, 8), rate=3e-3, save_every=3)


def training(base: Path, out: Path, plan: TrainingPlan = PLAN) -> tuple[LanguageModel, Training]:
    lm = LanguageModel.load(base, "cpu")
    module = BeaconLoss(begin(lm, base, plan), plan.recompute)
    rows = text_rows(lm, [(SAMPLES / "harrow-sound.md").read_text(encoding="utf-8")], plan.window, plan.windows, out)
    return lm, Training(accelerator_for("cpu"), module, rows, plan, out)


def nothing(step: Step) -> None:
    pass


@pytest.fixture(scope="module")
def base(tiny_models: Path) -> Path:
    return tiny_models / "lm"


@pytest.fixture(scope="module")
def finished(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[LanguageModel, Training, Path]:
    out = tmp_path_factory.mktemp("run")
    lm, run = training(base, out)
    run.run(nothing)
    return lm, run, out


def test_the_beacon_loss_of_a_tiny_model_falls(base: Path, tmp_path: Path) -> None:
    plan = replace(PLAN, steps=40, ratios=(4,), rate=3e-2, save_every=100)
    _, run = training(base, tmp_path, plan)
    run.run(nothing)
    found = [step.loss for step in losses(tmp_path)]
    assert len(found) == 40
    assert np.mean(found[-5:]) < np.mean(found[:5]) - 0.02


def test_a_run_that_was_stopped_has_the_losses_of_one_that_was_not(
    base: Path, finished: tuple[LanguageModel, Training, Path], tmp_path: Path
) -> None:
    class Stopped(Exception):
        pass

    def stop_at_five(step: Step) -> None:
        if step.step == 5:
            raise Stopped

    with pytest.raises(Stopped):
        training(base, tmp_path)[1].run(stop_at_five)
    assert [step.step for step in losses(tmp_path)] == [1, 2, 3, 4, 5]
    with (tmp_path / "losses.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')
    _, again = training(base, tmp_path)
    assert again.done.step == 3
    again.run(nothing)
    _, run, out = finished
    assert [(step.step, step.loss, step.rate) for step in losses(tmp_path)] == [
        (step.step, step.loss, step.rate) for step in losses(out)
    ]
    for name, tensor in run.module.weights().items():
        assert torch.equal(tensor, again.module.weights()[name])


def test_a_published_model_in_half_precision_is_trained_on_and_written_with_its_own_weights(
    base: Path, tmp_path: Path
) -> None:
    shutil.copytree(base, tmp_path / "base")
    tensors = {name: tensor.bfloat16().float() for name, tensor in load_file(base / "model.safetensors").items()}
    save_file(tensors, tmp_path / "base" / "model.safetensors", {"format": "pt"})
    lm, run = training(tmp_path / "base", tmp_path / "run", replace(PLAN, steps=2))
    run.run(nothing)
    write(tmp_path / "checkpoint", lm, run.module.weights(), {})
    written = load_file(tmp_path / "checkpoint" / "model.safetensors")
    for name, tensor in tensors.items():
        torch.testing.assert_close(written[name], tensor, atol=2**-25, rtol=0)
    trained = BeaconModel.load(tmp_path / "checkpoint")
    tokens = random.Random(1).choices(range(200), k=64)
    ids, after = torch.tensor([tokens[:-1]]), torch.tensor([tokens[1:]])
    with torch.no_grad():
        float32, packed = (BeaconLoss(model)(ids, after, (4, 8)) for model in (run.module.beacons, trained))
    torch.testing.assert_close(packed, float32, atol=0, rtol=1e-5)


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(base: Path, tmp_path: Path) -> None:
    """Through `accelerate launch`, with gradients reduced by gloo."""
    text = str(SAMPLES / "harrow-sound.md")
    options = ["--memory-model", str(base), "--device", "cpu", "--window", "32", "--ratios", "2,4", "--batch", "4"]
    train = ["memorag_mcp.cli", "train", "pretrain", text, "--steps", "3", "--rate", "1e-3", *options]
    launch = ["accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1", "-m"]
    for out, how in (("one", []), ("two", launch)):
        command = [sys.executable, "-m", *how, *train, "--out", str(tmp_path / out)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
    one, two = ([step.loss for step in losses(tmp_path / out)] for out in ("one", "two"))
    assert two == pytest.approx(one, rel=1e-5)
    assert len(one) == 3
    tensors = [load_file(tmp_path / out / "checkpoint" / "model.safetensors") for out in ("one", "two")]
    for name, tensor in tensors[0].items():
        torch.testing.assert_close(tensors[1][name], tensor, atol=1e-4, rtol=0)


def test_a_run_of_no_steps_writes_beacons_as_they_begin(base: Path, tmp_path: Path) -> None:
    _, run = training(base, tmp_path, replace(PLAN, steps=0))
    run.run(nothing)
    before = LanguageModel.load(base, "cpu").model.state_dict()
    for name, tensor in run.module.weights().items():
        if "embed" in name:
            assert torch.equal(tensor, before["model.embed_tokens.weight"][:1])
        else:
            assert torch.equal(tensor, before[name.replace("beacon_", "")])


def test_a_folder_with_a_run_of_another_plan_is_refused(
    base: Path, finished: tuple[LanguageModel, Training, Path]
) -> None:
    with pytest.raises(InputError, match=r"seed 0, now 1"):
        training(base, finished[2], replace(PLAN, seed=1))


def test_rows_at_once_and_recomputing_change_no_loss(
    base: Path, finished: tuple[LanguageModel, Training, Path], tmp_path: Path
) -> None:
    plan = replace(PLAN, steps=2, recompute=True)
    _, run = training(base, tmp_path, plan)
    run.run(nothing)
    plain = replace(PLAN, steps=2)
    _, other = training(base, tmp_path / "plain", plain)
    other.run(nothing)
    assert [step.loss for step in losses(tmp_path)] == pytest.approx([s.loss for s in losses(tmp_path / "plain")])


def test_frozen_weights_are_what_they_were_to_the_bit_and_every_beacon_weight_moved(
    base: Path, finished: tuple[LanguageModel, Training, Path], tmp_path: Path
) -> None:
    lm, run, _ = finished
    before = LanguageModel.load(base, "cpu").model.state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in lm.model.state_dict().items())
    write(tmp_path / "out", lm, run.module.weights(), {"steps": 8})
    kept = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(kept[name], tensor) for name, tensor in before.items())
    still = [
        name
        for name, tensor in run.module.weights().items()
        if "embed" not in name and torch.equal(tensor, before[name.replace("beacon_", "")])
    ]
    last = "model.layers.1.self_attn.beacon_q_proj.weight"  # what the last beacons ask for is read by nobody
    assert still == [last]


@pytest.mark.parametrize("alone", [False, True], ids=["all weights", "beacons alone"])
def test_a_checkpoint_is_a_memory_model_of_the_published_layout(
    base: Path, finished: tuple[LanguageModel, Training, Path], tmp_path: Path, alone: bool
) -> None:
    _, run, _ = finished
    lm, fresh = training(base, tmp_path / "run", PLAN)
    folder = tmp_path / "out"
    write(folder, lm, run.module.weights(), {"steps": 8}, str(base) if alone else None)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert (config["beacon_window"], config["beacon_ratio"], config["beacon_param"]) == (32, [2, 4, 8], ["q", "k", "v"])
    ids = random.Random(2).choices(range(600), k=90)
    model = BeaconModel.load(folder)
    for name, projection in model.own.items():
        trained = run.module.weights()[f"{name}.weight"]
        torch.testing.assert_close(projection.weight, trained, atol=0, rtol=2**-8 if alone else 0)
    assert model.model(torch.tensor([ids])).logits.equal(lm.model(torch.tensor([ids])).logits)
    tensors = load_file(folder / "model.safetensors")
    assert all("beacon" in name for name in tensors) is alone
    assert fresh.done.step == 0


@pytest.mark.parametrize("alone", [False, True], ids=["all weights", "beacons alone"])
def test_the_engine_remembers_with_a_checkpoint_whatever_the_profile(
    base: Path, tiny_models: Path, tmp_path: Path, alone: bool
) -> None:
    lm = LanguageModel.load(base, "cpu")
    module = BeaconLoss(begin(lm, base, PLAN))
    write(tmp_path / "memory", lm, module.weights(), {}, str(base) if alone else None)
    settings = Settings.of(
        profile="tiny",
        device="cpu",
        store=tmp_path / "store",
        models_dir=tiny_models,
        memory_model=str(tmp_path / "memory"),
        embedder=str(tiny_models / "embedder"),
    )
    engine = MemoRAG(settings)
    info = engine.memorize([from_text(STORY * 3, title="Mill")])
    answer = engine.answer(info.id, "Who kept the gate book?", "qa")
    assert answer.task == "qa"
    profile = replace(PROFILES["beacon"], memory_model=str(tmp_path / "memory"), beacon_ratio=8)
    opened = BeaconMemory.open(profile, Weights(settings, lambda _: None))
    assert opened.settings() == {"ratio": 8, "window": 32, "sink": 0}
    assert ("+" in opened.lm.revision) is alone


def test_training_goes_on_from_a_checkpoint_and_keeps_its_window(
    base: Path, finished: tuple[LanguageModel, Training, Path], tmp_path: Path
) -> None:
    lm, run, _ = finished
    write(tmp_path, lm, run.module.weights(), {})
    again = LanguageModel.load(tmp_path, "cpu")
    going_on = BeaconLoss(begin(again, tmp_path, PLAN)).weights()
    assert all(torch.equal(tensor, going_on[name]) for name, tensor in run.module.weights().items())
    with pytest.raises(InputError, match="--window 32"):
        begin(again, tmp_path, replace(PLAN, window=64))


def test_a_whole_checkpoint_trained_from_beacons_alone_needs_their_base_no_more(base: Path, tmp_path: Path) -> None:
    (tmp_path / "base").symlink_to(base)
    lm = LanguageModel.load(base, "cpu")
    weights = BeaconLoss(begin(lm, base, PLAN)).weights()
    write(tmp_path / "beacons", lm, weights, {}, str(tmp_path / "base"))
    again = LanguageModel.load(tmp_path / "beacons", "cpu")
    write(tmp_path / "whole", again, BeaconLoss(begin(again, tmp_path / "beacons", PLAN)).weights(), {})
    (tmp_path / "base").unlink()
    assert BeaconModel.load(tmp_path / "whole").layout.window == 32
    with pytest.raises(ModelUnavailable, match="base"):
        BeaconModel.load(tmp_path / "beacons")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA")
def test_cuda_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="no CUDA device"):
        accelerator_for("cuda")


def test_short_texts_are_packed_and_long_ones_cut_in_whole_windows() -> None:
    assert list(cut([100], 10, 4)) == [(0, 40), (40, 80), (80, 100)]
    assert list(cut([5, 5, 12, 30], 10, 4)) == [(0, 20), (22, 52)]
    assert list(cut([19, 3], 10, 8)) == [(0, 20)]
    assert list(cut([45], 10, 2)) == [(0, 20), (20, 40)]
    assert list(cut([10, 9], 10, 2)) == []


def test_batches_hold_rows_of_about_one_length_and_each_row_once_an_epoch() -> None:
    rows = [Row(np.zeros(windows * 10, dtype=np.uint32), 10) for windows in [2, 5, 2, 3, 5, 3, 2, 2]]
    batches = Batches(rows, 2, 10, 0)
    epoch = [batches.at(step) for step in range(4)]
    assert all(len({len(row.tokens) for row in batch}) == 1 for batch in epoch)
    assert sorted(id(row) for batch in epoch for row in batch) == sorted(map(id, rows))
    assert [batches.at(step) for step in range(4)] == epoch
    with pytest.raises(InputError, match="8 rows to train on"):
        Batches(rows, 9, 10, 0)


def test_text_is_read_from_folders_and_json_lines_and_tokenized_once(base: Path, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.md").write_text(STORY, encoding="utf-8")
    (tmp_path / "texts" / "b.jsonl").write_text(json.dumps({"text": STORY[::-1]}) + "\n", encoding="utf-8")
    texts = list(texts_at([tmp_path / "texts"], 10_000))
    assert texts == [STORY[::-1], STORY]
    lm = LanguageModel.load(base, "cpu")
    rows = text_rows(lm, texts, 16, 3, tmp_path / "cache")
    encoded = [token for text in texts for token in [*lm.encode([text])[0], lm.tokenizer.eos_token_id]]
    assert rows[0].tokens.tolist() == encoded[:48]
    assert {row.counted for row in rows} == {16}
    [kept] = (tmp_path / "cache").iterdir()
    lm.encode = lambda texts: pytest.fail("tokenized again")  # type: ignore[method-assign]
    assert [row.tokens.tolist() for row in text_rows(lm, texts, 16, 3, tmp_path / "cache")] == [
        row.tokens.tolist() for row in rows
    ]
    assert kept.suffix == ".npz"
    (tmp_path / "texts" / "b.jsonl").write_text('{"texts": "no"}\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 1 is no object with texts as text"):
        list(texts_at([tmp_path / "texts"], 10_000))


def test_of_a_record_the_answer_alone_carries_loss_after_what_a_memory_reads(base: Path, tmp_path: Path) -> None:
    lm = LanguageModel.load(base, "cpu")
    record = {"context": STORY, "instruction": "Who kept the book?", "answer": "Amos did."}
    short = record | {"context": "It rained."}
    path = tmp_path / "records.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (record, short)), encoding="utf-8")
    said: list[str] = []
    [row] = record_rows(lm, [path], 64, 9, said.append)
    tokens = row.tokens.tolist()
    [head] = lm.encode([lm.chat_head + STORY])
    assert tokens[: len(head)] == head
    assert lm.tokenizer.decode(tokens[row.counted :]) == "Amos did." + lm.tokenizer.eos_token
    assert said == ["1 of 2 records are not longer than a window, or than 9 of them"]
    with pytest.raises(InputError, match="memorag data clues"):
        record_rows(lm, [path], 64, 1, said.append)


@pytest.mark.parametrize(
    "wrong", [{"ratios": (3,)}, {"ratios": ()}, {"steps": -1}, {"windows": 1}, {"param": "qx"}, {"rate": 0.0}]
)
def test_a_plan_that_cannot_be_run_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        replace(PLAN, **wrong)  # type: ignore[arg-type]
