"""Only torch may touch the device: whatever else is installed beside us is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from memorag_core import Settings

OTHERS = ("jax", "jaxlib", "numba", "tensorflow", "flax", "cupy", "mxnet", "paddle")
IMPORTED = "import os, sys\nsys.stderr.write('imported: ' + __name__)\nsys.stderr.flush()\nos._exit(3)\n"
JOB = """
import sys
from memorag_core import Document, MemoRAG, Settings
engine = MemoRAG(Settings.model_validate_json(sys.argv[1]))
context = engine.memorize([Document("mill", "Mill", "The mill stands at the head of the pond.")])
engine.answer(context.id, "Where does the mill stand?")
"""


@pytest.mark.slow
def test_the_whole_job_imports_no_other_framework_that_is_installed(settings: Settings, tmp_path: Path) -> None:
    for name in OTHERS:
        (tmp_path / "beside" / name).mkdir(parents=True)
        (tmp_path / "beside" / name / "__init__.py").write_text(IMPORTED, encoding="utf-8")
    search = os.pathsep.join([str(tmp_path / "beside"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", JOB, settings.model_dump_json()]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": search}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
