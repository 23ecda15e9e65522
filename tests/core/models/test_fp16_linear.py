"""Weights that are halves are kept so, and everything comes out as it did."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import torch
from beacon_checkpoints import write
from safetensors.torch import load_file, save_file

from memorag_core.models.beacon.model import BeaconModel
from memorag_core.models.beacon.prefix import BeaconPrefix
from memorag_core.models.beacon.reading import read
from memorag_core.models.lm import fp16_linear
from memorag_core.models.lm.decoding import decode
from memorag_core.models.lm.fp16_linear import Fp16Linear, pack, unpack
from memorag_core.models.lm.language_model import load_model
from memorag_core.models.lm.prefix import Prefix

IDS = random.Random(5).choices(range(60), k=100)

pytestmark = pytest.mark.skipif(not fp16_linear._kernels(), reason="this build of torch has no kernels for halves")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose weights are bfloat16's numbers, with biases."""
    folder = write(tmp_path_factory.mktemp("published"), window=32)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | {"attention_bias": True}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = load_file(folder / "model.safetensors")
    biases = {name.replace(".weight", ".bias"): t[:, 0] for name, t in tensors.items() if ".self_attn." in name}
    rounded = {name: tensor.bfloat16().float() for name, tensor in tensors.items()}
    save_file(
        rounded | {name: t.contiguous() for name, t in biases.items()}, folder / "model.safetensors", {"format": "pt"}
    )
    return folder


def packed(model: torch.nn.Module) -> int:
    return sum(type(module) is Fp16Linear for module in model.modules())


def test_a_published_model_computes_what_it_does_in_float32(published: Path) -> None:
    model = load_model(published, "cpu")
    assert packed(model) == 2 * 7 + 1
    with torch.inference_mode():
        logits = model(torch.tensor([IDS])).logits
        unpack(model)
        assert packed(model) == 0
        torch.testing.assert_close(logits, model(torch.tensor([IDS])).logits, atol=1e-4, rtol=1e-5)


def test_what_is_unpacked_are_the_published_weights(published: Path) -> None:
    model = load_model(published, "cpu")
    unpack(model)
    expected = {
        name: tensor
        for name, tensor in load_file(published / "model.safetensors").items()
        if name in model.state_dict()
    }
    found = model.state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=fp16_linear.LOST, rtol=0)


def test_an_output_layer_that_shares_the_embeddings_weights_shares_them_again(published: Path, tmp_path: Path) -> None:
    shutil.copytree(published, tmp_path / "tied")
    config = json.loads((published / "config.json").read_text(encoding="utf-8")) | {"tie_word_embeddings": True}
    (tmp_path / "tied" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = load_file(published / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, tmp_path / "tied" / "model.safetensors", {"format": "pt"})
    model = load_model(tmp_path / "tied", "cpu")
    assert type(model.get_output_embeddings()) is Fp16Linear
    unpack(model)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_beacons_read_and_reply_as_in_float32(published: Path) -> None:
    fast, slow = BeaconModel.load(published), BeaconModel.load(published)
    unpack(slow.model)
    slow = BeaconModel.beside(slow.model, published)
    assert packed(fast.model) > 0
    states = [read(model, IDS) for model in (fast, slow)]
    torch.testing.assert_close(states[0].key_values.keys, states[1].key_values.keys, atol=1e-4, rtol=1e-5)
    replies = [
        decode(BeaconPrefix(model, state), [IDS[:5], IDS[40:80]], 12)
        for model, state in zip((fast, slow), states, strict=True)
    ]
    assert replies[0] == replies[1]


def test_a_batch_replies_as_each_row_would_alone(published: Path) -> None:
    model = load_model(published, "cpu")
    prompts = [IDS[:4], IDS[10:31], IDS[40:90]]
    together = decode(Prefix(model), prompts, 12)
    assert together == [decode(Prefix(model), [prompt], 12)[0] for prompt in prompts]


def test_weights_that_are_no_halves_stay_as_they_are(tmp_path: Path) -> None:
    assert packed(load_model(write(tmp_path), "cpu")) == 0


def test_without_kernels_nothing_is_replaced(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fp16_linear, "_kernels", lambda: False)
    assert packed(load_model(published, "cpu")) == 0


def test_what_is_on_another_device_or_half_already_is_left_alone() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4, device="meta"), torch.nn.Linear(4, 4, dtype=torch.bfloat16))
    pack(model)
    assert packed(model) == 0
