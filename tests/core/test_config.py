"""Settings are checked when they are made, and every one of them has a reader."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from memorag_core.config import (
    MAX_EVIDENCE_TOKENS,
    MAX_HITS,
    PROFILES,
    Profile,
    Settings,
    default_models_dir,
    default_store,
)
from memorag_core.errors import InputError
from memorag_core.models.profiles import choose_profile
from memorag_core.models.weights import choose_device

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [path for package in ("memorag_core", "memorag_mcp") for path in (ROOT / package).rglob("*.py")]
READERS = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES if path.name != "config.py")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MEMORAG_STORE", "MEMORAG_MODELS"):
        monkeypatch.delenv(name, raising=False)


def test_everything_has_a_default() -> None:
    settings = Settings.of()
    assert (settings.profile, settings.device) == ("auto", "auto")
    assert settings.memory_model is settings.embedder is settings.generator is None
    assert settings.max_characters >= 1_000_000
    assert settings.store == default_store()
    assert settings.models_dir == default_models_dir()


def test_what_is_none_keeps_its_default() -> None:
    assert Settings.of(hits=None, store=None) == Settings.of()


def test_what_is_chosen_is_kept() -> None:
    settings = Settings.of(profile="tiny", device="cuda:1", hits=7, store="some/where", embedder="BAAI/bge-m3")
    assert (settings.profile, settings.device, settings.hits) == ("tiny", "cuda:1", 7)
    assert (settings.store, settings.embedder) == (Path("some/where"), "BAAI/bge-m3")


def test_an_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="hitz"):
        Settings.of(hitz=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hits", 0),
        ("hits", MAX_HITS + 1),
        ("hits", "many"),
        ("evidence_tokens", 15),
        ("evidence_tokens", MAX_EVIDENCE_TOKENS + 1),
        ("max_characters", 0),
        ("warm_mib", 0),
        ("queue", 0),
        ("patience", 0),
        ("device", "tpu"),
        ("device", "cuda:"),
        ("store", 5),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"cannot be used: {name}: "):
        Settings.of(**{name: value})


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InputError, match=r"hits: .*warm_mib: "):
        Settings.of(hits=0, warm_mib=0)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings.of().hits = 3


@pytest.mark.parametrize(("variable", "option"), [("MEMORAG_STORE", "store"), ("MEMORAG_MODELS", "models_dir")])
def test_the_environment_sets_the_folders_and_an_option_overrides_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, option: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "named"))
    assert getattr(Settings.of(), option) == tmp_path / "named"
    assert getattr(Settings.of(**{option: tmp_path / "given"}), option) == tmp_path / "given"


@pytest.mark.parametrize(("variable", "option"), [("MEMORAG_STORE", "store"), ("MEMORAG_MODELS", "models_dir")])
def test_a_tilde_is_the_home_folder_also_where_no_shell_expands_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, option: str
) -> None:
    monkeypatch.setenv(variable, "~/memorag")
    assert getattr(Settings.of(), option) == Path.home() / "memorag"
    assert getattr(Settings.of(**{option: "~/given"}), option) == Path.home() / "given"


def test_a_checkout_keeps_its_contexts_beside_the_source() -> None:
    assert default_store() == ROOT / "contexts"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_read_somewhere(name: str) -> None:
    assert re.search(rf"\bsettings\.{name}\b", READERS)


@pytest.mark.parametrize("name", Profile.__dataclass_fields__)
def test_every_field_of_a_profile_is_read_somewhere(name: str) -> None:
    assert re.search(rf"\bprofile\.{name}\b", READERS)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_chosen_by_name(name: str) -> None:
    assert choose_profile(Settings.of(profile=name)) == PROFILES[name]


def test_an_unknown_profile_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"no profile 'huge'\. Choose one of: auto, tiny, lite"):
        choose_profile(Settings.of(profile="huge"))


@pytest.mark.parametrize("role", ["memory_model", "embedder", "generator", "retriever"])
def test_a_model_named_in_the_settings_replaces_the_profiles_own(role: str) -> None:
    profile = choose_profile(Settings.of(profile="tiny", **{role: "some/model"}))
    assert getattr(profile, role) == "some/model"
    assert profile.name == "tiny"


@pytest.mark.parametrize(
    ("option", "value"),
    [("memory", "long"), ("compression", 8), ("prefill", "minference"), ("storage", "int8")],
)
def test_how_memory_is_made_and_kept_in_the_settings_replaces_the_profiles_own(option: str, value: object) -> None:
    assert getattr(choose_profile(Settings.of(profile="tiny", **{option: value})), option) == value
    assert getattr(choose_profile(Settings.of(profile="tiny")), option) != value


def test_a_named_device_is_used_as_it_is() -> None:
    assert choose_device(Settings.of(device="mps")) == "mps"
