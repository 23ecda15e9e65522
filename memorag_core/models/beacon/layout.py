"""Where tokens and beacons stand in a beacon memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch

X = TypeVar("X", int, torch.Tensor)


@dataclass(frozen=True, slots=True)
class BeaconLayout:
    """Where tokens and beacons stand, all of it from one count: the tokens read so far.

    The entries of a memory are [sink, beacons of the folded windows, unfinished window]; in a window one beacon
    follows every `ratio` tokens, counted from the very first one, so the count carries over where `ratio` does not
    divide `window`. The sink are the first `sink` entries of the first window, kept when that window is folded.
    A `ratio` of 0 means no beacons and no windows: the plain model. Counts of many rows are given as a tensor.
    """

    window: int
    ratio: int
    sink: int

    def started(self, read: X) -> X:
        """Tokens read before the unfinished window began."""
        return read - read % self.window if self.ratio else read * 0

    def folded(self, read: X) -> X:
        """Entries of [sink, beacons]: what no longer changes."""
        before = self.started(read)
        return (before > 0) * self.sink + self._beacons(before)

    def entries(self, read: X) -> X:
        """All entries."""
        before = self.started(read)
        return (before > 0) * self.sink + read - before + self._beacons(read)

    def is_due(self, read: int) -> bool:
        """Whether a beacon follows the token that makes it so many."""
        return self.ratio > 0 and read % self.ratio == 0

    def place(self, token: X, read: int) -> X:
        """Where the token of that number stands among tokens and beacons that follow `read` tokens."""
        return token + self._beacons(read + token) - self._beacons(read)

    def _beacons(self, read: X) -> X:
        return read // self.ratio if self.ratio else read * 0

    def room(self, read: int) -> int | None:
        """Tokens until the window is full; None where there are no windows."""
        return self.window - read % self.window if self.ratio else None

    def most(self, read: int, tokens: int) -> int:
        """The most entries that `tokens` more bring at any time, beside those there are after `read`."""
        if not self.ratio:
            return tokens
        unfinished = min(tokens, self.window)
        return self.folded(read + tokens) - self.folded(read) + unfinished + unfinished // self.ratio + 1

    def columns(self, tokens: int, read: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Where tokens stand that follow `read` others, and where the beacons do that are due among them."""
        at = self.place(torch.arange(tokens, device=device), read)
        return at, at[-(read + 1) % self.ratio :: self.ratio] + 1 if self.ratio else at[:0]

    def kept(self, read: int) -> list[int]:
        """Which entries stay of the window that `read` tokens have just filled, in their order."""
        before = read - self.window
        sink = range(self.sink if before == 0 else 0)
        earlier = before // self.ratio
        beacons = range(earlier + 1, read // self.ratio + 1)
        return [*sink, *(number * self.ratio - before + number - earlier - 1 for number in beacons)]
