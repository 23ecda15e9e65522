"""What is to be measured on a CUDA machine runs here too, at a small size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("kernels", "same", "service", "shape", "training", "neighbours")


@pytest.mark.slow
def test_all_that_is_measured_on_cuda_runs_on_a_cpu() -> None:
    command = [sys.executable, "-m", "benchmarks.cuda", "--device", "cpu", "--shape", "tiny", "--parity"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing failed." in done.stdout
    assert set(PARTS) <= set(done.stdout.splitlines())
