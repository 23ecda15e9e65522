"""Steps of fixed shapes, replayed as CUDA graphs; on other devices they run as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch

NARROWEST = 256
WIDTH_ON_CPU = 64


@dataclass(frozen=True, slots=True)
class StepShape:
    """The shape of a step, all of which the host knows.

    Args:
        rows: the first so many take part.
        width: entries of its own that a row sees, at the most.
        entries: those that it adds.
        end_seen_by: which rows see the end of the memory, where not all of it is for all.
        full: all rows fill the width, so that nothing is masked.
    """

    rows: int
    width: int
    entries: int = 1
    end_seen_by: Literal["all", "some", "none"] = "all"
    full: bool = False


class StepGraphs:
    """One step for each bucket of shapes: captured when first met, then replayed.

    A graph holds the addresses of what it reads and writes, so that new buffers need new graphs.
    """

    def __init__(self, step: Callable[[StepShape], None], slots: int, capacity: int, captures: bool) -> None:
        """Take the step, which reads nothing back, the most rows and entries, and whether steps are captured."""
        self._step = step
        self._slots, self._capacity = slots, capacity
        self._captures = captures
        self._pool = torch.cuda.graph_pool_handle() if captures else None
        self._graphs: dict[StepShape, torch.cuda.CUDAGraph] = {}

    def run(self, shape: StepShape) -> None:
        """Do a step for at least so many rows and entries."""
        if not self._captures:
            self._step(self._pad(shape))
            return
        bucket = self.bucket(shape)
        if bucket in self._graphs:
            self._graphs[bucket].replay()
        else:
            self._graphs[bucket] = self._capture(bucket)

    def bucket(self, shape: StepShape) -> StepShape:
        """The shape of the graph that serves a shape."""
        width = min(self._capacity, max(NARROWEST, _power(shape.width)))
        return replace(shape, rows=min(self._slots, _power(shape.rows)), width=width, full=False)

    def _pad(self, shape: StepShape) -> StepShape:
        """A shape that is run as it is; masked rows in widths of which the kernels meet few."""
        padded = -(-shape.width // WIDTH_ON_CPU) * WIDTH_ON_CPU
        return shape if shape.full else replace(shape, width=min(self._capacity, padded))

    def _capture(self, shape: StepShape) -> torch.cuda.CUDAGraph:
        """Do a step as it is, which also prepares what a capture must not, then capture another without doing it."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self._step(shape)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            self._step(shape)
        return graph


def _power(number: int) -> int:
    return 1 << (number - 1).bit_length()
