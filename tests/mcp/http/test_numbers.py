"""The numbers that a server tells of itself."""

from __future__ import annotations

import pytest
import torch

from memorag_core import MemoRAG, Settings
from memorag_mcp.http.metrics import Metrics


def test_the_memory_of_a_cuda_device_in_use_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics(MemoRAG(settings).shared)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    for name, value in (("mem_get_info", (7, 10)), ("memory_reserved", 3), ("memory_allocated", 2)):
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    told = [line for line in metrics.text([]).splitlines() if line.startswith("memorag_device_bytes")]
    assert told == [f'memorag_device_bytes{{state="{s}"}} {n}' for s, n in zip(STATES, (10, 7, 3, 2), strict=True)]


STATES = ("total", "free", "reserved", "allocated")
