"""The loss through windows is the memory's own arithmetic, and its gradients are those of that loss."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
import whole
from beacon_checkpoints import write
from conftest import SHARED
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig

from benchmarks.parity import checkpoints
from memorag_core.models.beacon.model import BeaconModel
from memorag_core.models.beacon.reading import BeaconReading
from memorag_core.training.windows import UNCOUNTED, BeaconLoss

FIXTURES = checkpoints([SHARED / "parity"])
IDS = random.Random(3).choices(range(60), k=118)
COUNTED = 24


def inputs(*rows: list[int], counted: int = COUNTED) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and targets; the tokens from `counted` on are predicted."""
    ids = torch.tensor(rows)
    targets = torch.full_like(ids, UNCOUNTED)
    targets[:, counted - 1 : -1] = ids[:, counted:]
    return ids, targets


def by_reading(model: BeaconModel, ids: list[int], counted: int) -> torch.Tensor:
    """The loss from the logits of the path that answers questions, fed token by token."""
    reading = BeaconReading(model, len(ids))
    logits = torch.cat([reading.feed([token]) for token in ids])
    return cross_entropy(logits[counted - 1 : -1], torch.tensor(ids[counted:]), reduction="none")


@pytest.mark.parametrize(
    ("param", "window", "ratio", "sink"), [("qkv", 24, 4, 0), ("qkvo", 24, 8, 1), ("kv", 32, 32, 3), ("", 16, 2, 5)]
)
@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
def test_the_loss_is_that_of_the_logits_which_answer_questions(
    tmp_path: Path, param: str, window: int, ratio: int, sink: int, recompute: bool
) -> None:
    write(tmp_path, param=list(param), window=window, ratio=[ratio], sink_size=sink)
    expected = by_reading(BeaconModel.load(tmp_path), IDS, COUNTED)
    module = BeaconLoss(BeaconModel.load(tmp_path), recompute)
    ratios = [ratio] * -(-len(IDS) // window)
    assert module(*inputs(IDS), ratios).item() / len(expected) == pytest.approx(float(expected.mean()), abs=1e-5)
    ids, targets = inputs(IDS)
    last = torch.full_like(targets, UNCOUNTED)
    last[:, -2] = targets[:, -2]
    assert module(ids, last, ratios).item() == pytest.approx(float(expected[-1]), abs=1e-4)


@pytest.mark.skipif(not FIXTURES, reason="the parity fixtures are not beside this checkout")
@pytest.mark.parametrize("folder", FIXTURES, ids=lambda folder: folder.name)
def test_it_is_so_for_checkpoints_of_the_original_too(folder: Path) -> None:
    model = BeaconModel.load(folder)
    ids = random.Random(5).choices(range(512), k=3 * model.layout.window + 9)
    expected = by_reading(model, ids, model.layout.window).mean()
    found = BeaconLoss(model)(*inputs(ids, counted=model.layout.window), [model.layout.ratio] * 4)
    assert found.item() / (len(ids) - model.layout.window) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
def test_windows_of_several_ratios_give_the_loss_and_gradients_of_one_pass_with_a_mask(
    tmp_path: Path, recompute: bool
) -> None:
    write(tmp_path, window=24, ratio=[2, 4, 8], param=list("qkvo"), sink_size=2)
    ratios = [4, 2, 8, 12, 4]
    weights = load_file(tmp_path / "model.safetensors")
    own = {name: tensor.requires_grad_() for name, tensor in weights.items() if "beacon" in name}
    expected = whole.loss(LlamaConfig.from_pretrained(tmp_path), weights, IDS, COUNTED, ratios)
    expected.backward()
    module = BeaconLoss(BeaconModel.load(tmp_path), recompute)
    found = module(*inputs(IDS), ratios)
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, projection in module.beacons.own.items():
        gradient = own[f"{name}.weight"].grad
        assert gradient is not None
        torch.testing.assert_close(projection.weight.grad, gradient, atol=2e-4, rtol=1e-3)
    gradient = own["model.beacon_embed_tokens.weight"].grad
    assert gradient is not None
    torch.testing.assert_close(module.embedding.grad, gradient[0], atol=2e-4, rtol=1e-3)


def test_rows_pass_together_as_each_would_alone(tmp_path: Path) -> None:
    module = BeaconLoss(BeaconModel.load(write(tmp_path)))
    other = IDS[::-1]
    together = module(*inputs(IDS, other), [4, 8, 2, 4, 4])
    alone = sum(module(*inputs(row), [4, 8, 2, 4, 4]) for row in (IDS, other))
    torch.testing.assert_close(together, alone)


def test_gradients_agree_with_finite_differences(tmp_path: Path) -> None:
    beacons = BeaconModel.load(write(tmp_path))
    _widen(beacons)
    module = BeaconLoss(beacons)
    given = (*inputs(IDS[:80]), [4, 2, 8, 4])
    module(*given).backward()
    draw = random.Random(1)
    checked = 0
    for name, weight in module.named_parameters():
        flat, gradient = weight.detach().flatten(), weight.grad
        assert gradient is not None
        at = draw.randrange(flat.numel())
        around = []
        for step in (1e-5, -2e-5):
            with torch.no_grad():
                weight.view(-1)[at] += step
                around.append(module(*given).item())
        slope = (around[0] - around[1]) / 2e-5
        assert slope == pytest.approx(float(gradient.flatten()[at]), rel=1e-4, abs=1e-5), name
        checked += 1
    assert checked == 7


def _widen(beacons: BeaconModel) -> None:
    """To float64, norms too, which transformers computes in float32 whatever the weights are."""
    beacons.model.double()
    beacons.embedding = beacons.embedding.double()
    for name, module in list(beacons.model.named_modules()):
        if name.endswith("norm"):
            norm = torch.nn.RMSNorm(32, eps=module.variance_epsilon, dtype=torch.float64)
            norm.weight.data.copy_(module.weight)
            beacons.model.set_submodule(name, norm)


def test_in_bfloat16_the_loss_is_about_the_same_and_gradients_are_float32(tmp_path: Path) -> None:
    exact = BeaconLoss(BeaconModel.load(write(tmp_path)))(*inputs(IDS), [4, 8, 2, 4, 4])
    beacons = BeaconModel.load(tmp_path)
    beacons.model.bfloat16()
    module = BeaconLoss(beacons, recompute=True)
    with torch.autocast("cpu", torch.bfloat16):
        loss = module(*inputs(IDS), [4, 8, 2, 4, 4])
    loss.backward()
    assert loss.item() == pytest.approx(exact.item(), rel=0.05)
    assert {parameter.grad.dtype for parameter in module.parameters() if parameter.grad is not None} == {torch.float32}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_compiled_parts_give_the_same_loss_and_gradients(tmp_path: Path) -> None:
    write(tmp_path)
    plain, compiled = (BeaconLoss(BeaconModel.load(tmp_path), compiled=fused) for fused in (False, True))
    losses = [module(*inputs(IDS), [4, 8, 2, 4, 4]) for module in (plain, compiled)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(losses[1], losses[0])
    for mine, other in zip(compiled.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-5, rtol=1e-4)
