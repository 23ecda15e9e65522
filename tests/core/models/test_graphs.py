"""Steps are captured as CUDA graphs where that can be done, and each is done exactly once, whatever fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from memorag_core.models.lm import graphs
from memorag_core.models.lm.graphs import StepGraphs, StepShape

SHAPES = [StepShape(1, 30), StepShape(3, 30), StepShape(1, 200), StepShape(3, 300), StepShape(4, 300)]
FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
REFUSED = RuntimeError("CUDA error: operation not permitted when stream is capturing")


class Card:
    """A CUDA device as `graphs` sees it; what is done during a capture is not done, but kept for its replays."""

    def __init__(self) -> None:
        self.done: list[StepShape] = []
        self.kept: list[StepShape] | None = None
        self.fails_in_capture: RuntimeError | None = None
        self.waits = False
        self.mode: int | str = 0
        self.captured = 0
        self.modes: set[str] = set()
        self.pools: list[object] = []

    def step(self, shape: StepShape) -> None:
        """Do a step, or keep it."""
        if self.kept is not None:
            if self.fails_in_capture:
                raise self.fails_in_capture
            self.kept.append(shape)
        elif self.waits and self.mode == "error":
            raise RuntimeError("called a synchronizing CUDA operation")
        else:
            self.done.append(shape)

    def set_mode(self, mode: int | str) -> None:
        """As of `torch.cuda.set_sync_debug_mode`."""
        self.mode = mode

    def graph(self) -> Any:
        """As `torch.cuda.CUDAGraph`."""
        return Graph(self)

    @contextmanager
    def capture(self, graph: Graph, pool: object, stream: object, capture_error_mode: str) -> Iterator[None]:
        """As `torch.cuda.graph`."""
        self.kept = graph.steps
        self.captured += 1
        self.modes.add(capture_error_mode)
        self.pools.append(pool)
        try:
            yield
        finally:
            self.kept = None


class Graph:
    """What a capture kept."""

    def __init__(self, card: Card) -> None:
        self.card, self.steps = card, list[StepShape]()

    def replay(self) -> None:
        """Do it."""
        self.card.done += self.steps


class Stream:
    """A stream, of which none is ahead of another here."""

    def __init__(self, device: object = None) -> None:
        self.device = device

    def wait_stream(self, other: Stream) -> None:
        """Nothing to wait for."""


@contextmanager
def inside(_: object) -> Iterator[None]:
    """As `torch.cuda.device` and `torch.cuda.stream`."""
    yield


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Card]:
    card = Card()
    doubles: dict[str, Callable[..., Any]] = {
        "device": inside,
        "stream": inside,
        "Stream": Stream,
        "current_stream": Stream,
        "CUDAGraph": card.graph,
        "graph": card.capture,
        "graph_pool_handle": object,
        "get_sync_debug_mode": lambda: card.mode,
        "set_sync_debug_mode": card.set_mode,
    }
    for name, double in doubles.items():
        monkeypatch.setattr(torch.cuda, name, double)
    graphs._side_stream.cache_clear()
    yield card
    graphs._side_stream.cache_clear()


def run_all(card: Card, times: int = 3) -> StepGraphs:
    """Run steps of all shapes in turn; each is done once, in a bucket that holds it."""
    steps = StepGraphs(4, 300, torch.device("cuda", 1))
    for _ in range(times):
        for shape in SHAPES:
            before = len(card.done)
            steps.run(card.step, shape)
            [done] = card.done[before:]
            assert done.rows >= shape.rows
            assert done.width >= shape.width
            assert card.mode == 0
    return steps


def test_steps_are_captured_once_a_bucket_and_then_replayed(card: Card) -> None:
    run_all(card)
    assert card.captured == len({(1, 256), (4, 256), (4, 300)})
    assert card.modes == {"thread_local"}
    assert len(set(card.pools)) == 1


def test_steps_in_which_the_host_waits_are_done_as_they_are(card: Card) -> None:
    card.waits = True
    run_all(card)
    assert not card.captured


def test_a_step_for_whose_graph_there_is_no_memory_is_done_as_it_is_and_others_are_captured(card: Card) -> None:
    card.fails_in_capture = FULL
    steps = StepGraphs(4, 300, torch.device("cuda"))
    steps.run(card.step, SHAPES[0])
    card.fails_in_capture = None
    steps.run(card.step, SHAPES[0])
    steps.run(card.step, SHAPES[3])
    steps.run(card.step, SHAPES[3])
    assert len(card.done) == 4
    failed, captured = card.pools
    assert failed is not captured


def test_where_a_capture_fails_no_other_is_tried(card: Card, caplog: pytest.LogCaptureFixture) -> None:
    card.fails_in_capture = REFUSED
    run_all(card)
    assert card.captured == 1
    assert "not permitted" in caplog.text


def test_a_step_that_fails_for_want_of_memory_is_the_callers_to_do_again(card: Card) -> None:
    failing = [FULL]

    def step(shape: StepShape) -> None:
        if failing:
            raise failing.pop()
        card.step(shape)

    steps = StepGraphs(4, 300, torch.device("cuda"))
    with pytest.raises(torch.OutOfMemoryError):
        steps.run(step, SHAPES[0])
    steps.run(step, SHAPES[0])
    assert card.captured == len(card.done) == 1
    assert card.mode == 0
