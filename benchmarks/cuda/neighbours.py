"""Who holds the device's memory: nothing but torch may, whatever else is installed beside us."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import torch

from benchmarks.cuda.report import Report

OTHERS = ("jax", "jaxlib", "tensorflow", "cupy", "paddle", "mxnet")
CONTEXT_GIB = 1.0
"""What CUDA itself takes for a process, and more."""
GIB = 1 << 30
JOB = """
import json, sys, tempfile
from pathlib import Path
from memorag_core import Document, MemoRAG, Settings
with tempfile.TemporaryDirectory() as name:
    settings = Settings.of(profile="tiny", retriever="hybrid", device=sys.argv[1], store=Path(name))
    engine = MemoRAG(settings)
    context = engine.memorize([Document("mill", "Mill", "The mill stands at the head of the pond.")])
    engine.answer(context.id, "Where does the mill stand?")
    import torch
    on_card = torch.cuda.is_available() and torch.cuda.is_initialized()
    free = torch.cuda.mem_get_info()[0] if on_card else 0
    reserved = torch.cuda.memory_reserved() if on_card else 0
    print(json.dumps({"free": free, "reserved": reserved, "modules": sorted(sys.modules)}))
"""


def measure(report: Report, device: str) -> None:
    """A whole job in a process of its own, with an index of words beside that of vectors."""
    before = torch.cuda.mem_get_info()[0] if device.startswith("cuda") else 0
    command = [sys.executable, "-c", JOB, device]
    done = subprocess.run(command, env=os.environ.copy(), capture_output=True, text=True, timeout=240)
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    found = json.loads(done.stdout.splitlines()[-1])
    there = [name for name in OTHERS if name in found["modules"]]
    report.check("no other framework is imported", not there, ", ".join(there))
    if device.startswith("cuda"):
        report.show("held by torch in that process", found["reserved"] / GIB, "GiB")
        rest = (before - found["free"] - found["reserved"]) / GIB
        report.show("held by anything else: CUDA's own context", rest, "GiB", bar=CONTEXT_GIB)
