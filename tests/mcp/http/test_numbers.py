"""The numbers that a server tells of itself."""

from __future__ import annotations

import pytest
import torch

from memorag_core import MemoRAG, Settings
from memorag_mcp.http.metrics import Metrics


def test_the_memory_of_a_cuda_device_in_use_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics(MemoRAG(settings).shared)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, values in (
        ("mem_get_info", [(4, 5), (7, 10)]),
        ("memory_reserved", [0, 3]),
        ("memory_allocated", [0, 2]),
    ):
        monkeypatch.setattr(torch.cuda, name, values.__getitem__)
    told = [line for line in metrics.text([]).splitlines() if line.startswith("memorag_device_bytes")]
    assert told == [f'memorag_device_bytes{{state="{s}"}} {n}' for s, n in zip(STATES, (10, 7, 3, 2), strict=True)]


STATES = ("total", "free", "reserved", "allocated")
