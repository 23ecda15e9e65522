"""Retrieval heads are found by what they rank, on labelled sets and in any text, and hold for weights that stay."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import STORY
from numpy.typing import NDArray

from memorag_core.config import PROFILES, Head, Settings
from memorag_core.errors import InputError
from memorag_core.evaluation import heads as finding
from memorag_core.evaluation.datasets import EvalSet, Question
from memorag_core.evaluation.heads import FoundHeads, HeadTrial, find_heads, trials_of_set, trials_of_text
from memorag_core.models.known_heads import FILE, keep_heads
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.models.profiles import choose_profile
from memorag_core.models.weights import Weights

TEXT = "\n\n".join(f"{STORY} This was told for the {number}. time." for number in range(12))


@pytest.fixture(scope="module")
def lm(tiny_models: Path) -> LanguageModel:
    return LanguageModel.load(tiny_models / "lm", "cpu")


def test_facts_hidden_in_a_text_are_each_asked_among_others(lm: LanguageModel) -> None:
    trials = list(trials_of_text(lm, TEXT))
    assert len({trial.question for trial in trials}) == len(trials) == 24
    for trial in trials:
        [answering] = [passage for number, passage in enumerate(trial.passages) if number in trial.answering]
        place = next(place for place in finding.PLACES if place in trial.question)
        assert place in answering
        assert sum(place in passage for passage in trial.passages) == 1
    with pytest.raises(InputError, match="hides no facts"):
        next(trials_of_text(lm, "It rained."))


def test_labelled_questions_are_asked_among_passages_that_look_alike(lm: LanguageModel) -> None:
    start = TEXT.index("5. time")
    asked = [Question(str(n), "a", "When was this told?", ("5",), ((start, start + 7),)) for n in range(6)]
    trials = list(trials_of_set(lm, EvalSet("set", {"a": TEXT}, tuple(asked))))
    assert 0 < len(trials) < 6, "the calibration half"
    assert all("5. time" in trials[0].passages[number] for number in trials[0].answering)


def test_the_heads_that_rank_what_answers_first_are_found(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def scores(_: LanguageModel, heads: list[Head], trial: HeadTrial) -> NDArray[np.float32]:
        right = np.zeros((len(heads), len(trial.passages)), np.float32)
        right[:, 1] = 1
        right[heads.index((1, 2)), 0] = 2 if len(trial.question) % 2 else 0
        right[heads.index((1, 0)), 0] = 9 if len(trial.question) % 2 == 0 else 0
        return right

    monkeypatch.setattr(finding, "_scores", scores)
    trials = list(trials_of_text(lm, TEXT))
    odd = sum(len(trial.question) % 2 for trial in trials) / len(trials)
    found = find_heads(lm, trials, 3)
    assert 0 < odd < 1
    assert set(found.heads) == {(1, 2), (1, 0)}
    assert found.share == 1.0


def test_a_random_model_is_measured_too(lm: LanguageModel) -> None:
    found = find_heads(lm, list(trials_of_text(lm, TEXT))[:3], 2)
    assert found == FoundHeads(found.heads, found.share)
    assert len(found.heads) <= 2
    with pytest.raises(InputError, match="None of the questions"):
        find_heads(lm, [], 2)


def test_heads_that_were_found_hold_for_these_weights_until_others_are_asked_for(
    tiny_models: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(tiny_models / "lm", tmp_path / "lm"))
    settings = Settings.of(models_dir=tmp_path, memory_model=str(model), device="cpu", profile="tiny")
    assert choose_profile(settings).heads == ()
    revision = Weights(settings, print).revision_here(str(model))
    keep_heads(tmp_path, str(model), revision, [(1, 2), (0, 3)])
    assert choose_profile(settings).heads == ((1, 2), (0, 3))
    assert choose_profile(settings.model_copy(update={"heads": "1:1"})).heads == ((1, 1),)
    assert choose_profile(settings.model_copy(update={"memory_model": None})).heads == PROFILES["tiny"].heads
    (model / "config.json").write_text((model / "config.json").read_text() + "\n")
    assert choose_profile(settings).heads == (), "other weights"
    (tmp_path / FILE).write_text("{")
    assert choose_profile(settings).heads == (), "a damaged file"
