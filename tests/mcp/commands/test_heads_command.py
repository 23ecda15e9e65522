"""The command that finds retrieval heads keeps them where every other command looks."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import STORY
from typer.testing import CliRunner

from memorag_core.config import Settings
from memorag_core.models.profiles import choose_profile
from memorag_mcp.cli import app


@pytest.mark.slow
def test_heads_found_in_a_text_are_those_of_the_profile_from_then_on(tiny_models: Path, tmp_path: Path) -> None:
    model, text = str(tiny_models / "lm"), tmp_path / "text.txt"
    text.write_text("\n\n".join(f"{STORY} {number}" for number in range(12)), encoding="utf-8")
    options = ["--models-dir", str(tmp_path), "--device", "cpu"]
    run = CliRunner().invoke(app, ["heads", model, "--text", str(text), "--questions", "4", *options])
    assert run.exit_code == 0, run.output
    kept = choose_profile(Settings.of(models_dir=tmp_path, memory_model=model, device="cpu", profile="tiny")).heads
    assert ",".join(f"{layer}:{head}" for layer, head in kept) in run.output


def test_without_questions_or_text_the_command_says_what_to_name() -> None:
    run = CliRunner().invoke(app, ["heads", "somewhere/lm"])
    assert run.exit_code == 2
    assert "--text FILE" in run.output
