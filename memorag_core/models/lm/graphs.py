"""Steps of fixed shapes, replayed as CUDA graphs; on other devices they run as they are."""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformers import PreTrainedModel

from memorag_core.models.lm.rope import BY_LENGTH

NARROWEST = 256
WIDTH_ON_CPU = 64


class StepGraphs:
    """One step for each bucket of rows and widths: captured when first met, then replayed.

    A graph holds the addresses of what it reads and writes, so that new buffers need new graphs.
    """

    def __init__(
        self, step: Callable[[int, int, bool], None], slots: int, capacity: int, model: PreTrainedModel
    ) -> None:
        """Take the step, which reads nothing back, the most rows and entries, and the model that takes the step."""
        self._step = step
        self._slots, self._capacity = slots, capacity
        self._captures = model.device.type == "cuda" and not looks_at_length(model)
        self._exact = model.device.type != "cuda"
        self._pool = torch.cuda.graph_pool_handle() if self._captures else None
        self._graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}

    def run(self, rows: int, width: int) -> None:
        """Do a step for at least so many rows and entries."""
        if not self._captures:
            self._run_eagerly(rows, width)
            return
        bucket = min(self._slots, _power(rows)), min(self._capacity, max(NARROWEST, _power(width)))
        if bucket in self._graphs:
            self._graphs[bucket].replay()
        else:
            self._graphs[bucket] = self._capture(*bucket)

    def _run_eagerly(self, rows: int, width: int) -> None:
        """Do a step as it is; without a mask for one row, which is its own width where the host looks at each step."""
        if rows == 1 and self._exact:
            self._step(1, width, True)
        else:
            self._step(rows, min(self._capacity, -(-width // WIDTH_ON_CPU) * WIDTH_ON_CPU), False)

    def _capture(self, rows: int, width: int) -> torch.cuda.CUDAGraph:
        """Do a step as it is, which also prepares what a capture must not, then capture another without doing it."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self._step(rows, width, False)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            self._step(rows, width, False)
        return graph


def looks_at_length(model: PreTrainedModel) -> bool:
    """Whether a model's rotary angles depend on the length, for which it reads positions back at each step."""
    rope = getattr(model.config, "rope_parameters", None) or {}
    return rope.get("rope_type") in BY_LENGTH


def _power(number: int) -> int:
    return 1 << (number - 1).bit_length()
