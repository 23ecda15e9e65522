"""A process that memorizes is killed, again and again; what comes of it in the end is what comes undisturbed."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import STORY

from memorag_core import MemoRAG, Settings, from_text

ROOT = Path(__file__).resolve().parents[2]
KILLS = 6
LONG = "\n\n".join(f"In year {number} {STORY}" for number in range(150))
MEMORIZE = """
import os, sys
from memorag_core import MemoRAG, Settings, from_text
text, most = sys.argv[2], int(sys.argv[3])
steps = 0
def tell(progress):
    global steps
    steps += 1
    if steps == most:
        os.kill(os.getpid(), 9)
MemoRAG(Settings.model_validate_json(sys.argv[1])).memorize([from_text(text, "long")], on_progress=tell)
"""


@pytest.mark.slow
def test_a_process_killed_at_random_steps_leaves_work_that_the_next_goes_on_with(settings: Settings) -> None:
    settings = settings.model_copy(update={"heads": "1:2"})
    other = MemoRAG(settings.model_copy(update={"store": settings.store / "other"}))
    steps: list[str] = []
    expected = other.memorize([from_text(LONG, "long")], on_progress=lambda progress: steps.append(progress.stage))
    moments = random.Random(7)
    left = []
    for _ in range(KILLS):
        most = moments.randrange(2, len(steps) // 3)
        command = [sys.executable, "-c", MEMORIZE, settings.model_dump_json(), LONG, str(most)]
        left.append(subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode)
    engine = MemoRAG(settings)
    assert engine.damaged() == {}
    info = engine.memorize([from_text(LONG, "long")])
    assert -9 in left
    for entry in other.store.manifest(expected.id).files:
        whole = (other.store.folder(expected.id) / entry).read_bytes()
        assert (engine.store.folder(info.id) / entry).read_bytes() == whole, entry
    assert list((settings.store / ".work").glob("[!.]*/")) == []
