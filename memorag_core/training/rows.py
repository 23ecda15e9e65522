"""Rows of tokens to train on, and the order in which they come: a function of the seed and the step, nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from memorag_core.errors import InputError
from memorag_core.text.chunking import Span

TokenIds = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Row:
    """A sequence of tokens; those from `counted` on are predicted and carry loss."""

    tokens: TokenIds
    counted: int


def cut(lengths: Sequence[int], window: int, most: int) -> Iterator[Span]:
    """Rows of whole windows, 2 to `most` of them, as spans of the tokens of all texts in their order.

    A text of two windows or more stands alone; shorter ones are packed, whole, until they fill two. What is left over
    at the end of a text, less than two windows or a part of one, is in no row.
    """
    start = end = 0
    for length in lengths:
        end += length
        if end - start < 2 * window:
            continue
        for first in range(start, end, most * window):
            row = min(most, (end - first) // window) * window
            if row >= 2 * window:
                yield first, first + row
        start = end


@dataclass(frozen=True)
class Batches:
    """Rows in batches of `size`, those of a batch of about one length, shuffled anew in every epoch."""

    rows: Sequence[Row]
    size: int
    window: int
    seed: int

    def __post_init__(self) -> None:
        """Refuse fewer rows than one batch.

        Raises:
            InputError: says how many there are.
        """
        if len(self.rows) < self.size:
            raise InputError(
                f"There are {len(self.rows)} rows to train on, and a step takes {self.size}. Give more text, a smaller "
                "--batch, or a shorter --window (a row has two windows at least)."
            )

    def at(self, step: int) -> list[Row]:
        """The batch of a step, from 0."""
        epoch, number = divmod(step, len(self.rows) // self.size)
        chosen = self._order(epoch)[number]
        return [self.rows[index] for index in chosen]

    def _order(self, epoch: int) -> list[list[int]]:
        """Every epoch leaves out other rows of those that fill no batch."""
        draw = random.Random(f"{self.seed} {epoch}")  # noqa: S311  # no secret
        order = list(range(len(self.rows)))
        draw.shuffle(order)
        order = order[: len(order) - len(order) % self.size]
        order.sort(key=lambda index: -(-len(self.rows[index].tokens) // self.window))
        batches = [order[first : first + self.size] for first in range(0, len(order), self.size)]
        draw.shuffle(batches)
        return batches
