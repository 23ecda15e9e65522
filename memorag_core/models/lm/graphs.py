"""Steps of fixed shapes, replayed as CUDA graphs; on other devices they run as they are."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import torch

from memorag_core.concurrency.device_memory import has_run_out

NARROWEST = 256
WIDTH_ON_CPU = 64
WAITS = "synchronizing CUDA operation"
"""What torch says of an operation for which the host waits, where it is told to refuse these."""
log = logging.getLogger(__name__)


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


DoStep = Callable[[StepShape], None]
"""A step of fixed shape, which is given by what calls it, so that nothing here keeps its buffers alive."""


class StepGraphs:
    """One step for each bucket of shapes: captured when first met, then replayed.

    A graph holds the addresses of what it reads and writes, so that new buffers need new graphs.
    """

    def __init__(self, slots: int, capacity: int, device: torch.device | None) -> None:
        """Take the most rows and entries, and the CUDA device on which steps are captured, if they are."""
        self._slots, self._capacity = slots, capacity
        self._device = device
        self._pool: Any = None
        self._graphs: dict[StepShape, torch.cuda.CUDAGraph | None] = {}

    def run(self, step: DoStep, shape: StepShape) -> None:
        """Do a step for at least so many rows and entries."""
        if self._device is None:
            step(self._pad(shape))
            return
        bucket = self.bucket(shape)
        if bucket not in self._graphs:
            self._graphs[bucket] = self._do_and_capture(step, bucket, self._device)
        elif graph := self._graphs[bucket]:
            graph.replay()
        else:
            step(bucket)

    def bucket(self, shape: StepShape) -> StepShape:
        """The shape of the graph that serves a shape."""
        width = min(self._capacity, max(NARROWEST, _power(shape.width)))
        return replace(shape, rows=min(self._slots, _power(shape.rows)), width=width, full=False)

    def _pad(self, shape: StepShape) -> StepShape:
        """A shape that is run as it is; masked rows in widths of which the kernels meet few."""
        padded = -(-shape.width // WIDTH_ON_CPU) * WIDTH_ON_CPU
        return shape if shape.full else replace(shape, width=min(self._capacity, padded))

    def _do_and_capture(self, step: DoStep, shape: StepShape, device: torch.device) -> torch.cuda.CUDAGraph | None:
        """Do a step as it is, which also prepares what a capture must not, then capture another without doing it.

        Both are on one stream, so that the working memory of matrix products is there before the capture. None where
        this step cannot be captured; it is done all the same.
        """
        with torch.cuda.device(device):
            here, side = torch.cuda.current_stream(), _side_stream(device)
            side.wait_stream(here)
            try:
                with torch.cuda.stream(side):
                    never_waits = _do(step, shape)
            finally:
                here.wait_stream(side)
            if never_waits:
                return self._capture(step, shape, side)
        self._device = None
        return None

    def _capture(self, step: DoStep, shape: StepShape, side: torch.cuda.Stream) -> torch.cuda.CUDAGraph | None:
        """Capture a step; where that fails, this one is never captured, and no other where memory is not the reason."""
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        try:
            # what other threads do meanwhile, such as freeing memory, is none of this capture's business
            with torch.cuda.graph(graph, pool=self._pool, stream=side, capture_error_mode="thread_local"):
                step(shape)
        except RuntimeError as error:
            self._pool = None  # one that no graph uses any more cannot be used again
            if not has_run_out(error):
                log.warning("Steps cannot be captured as CUDA graphs, so each is launched anew: %s", error)
                self._device = None
            return None
        return graph


def _do(step: DoStep, shape: StepShape) -> bool:
    """Do a step; whether the host waits for the device nowhere in it, as some mixtures of experts do."""
    before = torch.cuda.get_sync_debug_mode()
    _refuse_waits("error")
    try:
        step(shape)
    except RuntimeError as error:
        if WAITS not in str(error):
            raise
    else:
        return True
    finally:
        _refuse_waits(before)
    step(shape)
    return False


def _refuse_waits(mode: int | str) -> None:
    with warnings.catch_warnings(action="ignore"):  # it is called a prototype
        torch.cuda.set_sync_debug_mode(mode)


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream that captures of all models take: each stream has working memory of its own, which stays."""
    return torch.cuda.Stream(device)


def _power(number: int) -> int:
    return 1 << (number - 1).bit_length()
