"""The hub is asked once: where it does not answer, what is in its cache is loaded at once, and what is not is told."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from latent_checkpoints import write as write_latent

from memorag_core.config import PROFILES, Settings
from memorag_core.errors import ModelUnavailable
from memorag_core.models import hub
from memorag_core.models.latent.checkpoint import LatentCheckpoint
from memorag_core.models.profiles import _obtainable
from memorag_core.models.weights import Weights

NOBODY = "http://127.0.0.1:9"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def unreachable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """No hub answers; its cache is an empty folder."""
    monkeypatch.setattr(constants, "ENDPOINT", NOBODY)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    hub._answers.cache_clear()
    yield tmp_path / "cache"
    hub._answers.cache_clear()


def cached(cache: Path, name: str, folder: Path) -> None:
    """Put a folder into the hub's cache."""
    place = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT)


def test_a_model_in_the_cache_is_loaded_without_the_hub(unreachable: Path, tiny_models: Path) -> None:
    cached(unreachable, "org/tiny", tiny_models / "lm")
    asked: list[object] = []
    assert not hub.answers()
    lm = Weights(Settings.of(device="cpu"), asked.append).language_model("org/tiny")
    assert (lm.model_id, lm.revision) == ("org/tiny", COMMIT)
    assert not constants.HF_HUB_OFFLINE


def test_of_a_latent_context_model_in_the_cache_the_decoder_is_the_language_model(
    unreachable: Path, tmp_path: Path
) -> None:
    cached(unreachable, "org/latent", write_latent(tmp_path / "latent"))
    lm = Weights(Settings.of(device="cpu"), lambda _: None).language_model("org/latent")
    assert (lm.model_id, lm.revision, lm.model.config.hidden_size) == ("org/latent", COMMIT, 32)
    assert LatentCheckpoint.find("org/latent").folder.name == COMMIT
    assert hub.in_cache("org/latent")
    (LatentCheckpoint.find("org/latent").folder / "adapter" / "adapter.safetensors").unlink()
    with pytest.raises(ModelUnavailable, match=r"has no adapter/adapter\.safetensors"):
        LatentCheckpoint.find("org/latent")
    with pytest.raises(ModelUnavailable, match="hf download org/nowhere"):
        LatentCheckpoint.find("org/nowhere")


def test_a_model_of_another_kind_is_not_fetched_to_be_told_that_it_has_no_latents(
    unreachable: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(unreachable, "org/tiny", tiny_models / "lm")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_: pytest.fail("it is fetched"))
    with pytest.raises(ModelUnavailable, match=r"'org/tiny' is no latent context model .* has no model_config\.json"):
        LatentCheckpoint.find("org/tiny")


def test_a_model_that_is_nowhere_is_told_without_trying_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waits to try again"))
    with pytest.raises(ModelUnavailable, match="hf download org/nowhere"):
        Weights(Settings.of(device="cpu"), lambda _: None).language_model("org/nowhere")
    assert not constants.HF_HUB_OFFLINE


def test_without_a_hub_no_profile_is_chosen_whose_models_are_elsewhere(tmp_path: Path) -> None:
    assert not _obtainable(PROFILES["lite"], tmp_path)


def test_a_folder_is_loaded_without_asking_for_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "answers", lambda: pytest.fail("the hub was asked"))
    with hub.offline_unless_it_answers(tmp_path):
        assert not constants.HF_HUB_OFFLINE
