"""Replies that are held to a text: lines that are sentences of it, to the token, each at most once.

The sentences are a trie that is not built: a row knows which of them its line may still become, and how far the line
is. The next token of any of these may follow, and all that have another one fall away. So a step is a few operations
of fixed shapes on the device, and reads nothing back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

import torch


class VerbatimText:
    """The token ids of the sentences that may be said, each with the line break that ends it."""

    def __init__(self, sentences: Iterable[Sequence[int]], line_break: int, stop: Iterable[int], device: torch.device):
        """Take the ids of each sentence, of which none is a line break, and those that end a reply."""
        said = [[*ids, line_break] for ids in sentences if ids]
        self.line_break, self.stop = line_break, torch.tensor(sorted(stop), dtype=torch.long, device=device)
        self.ids = torch.tensor([i for ids in said for i in ids] or [line_break], dtype=torch.int32, device=device)
        starts = list(accumulate((len(ids) for ids in said), initial=0))[:-1]
        self.starts = torch.tensor(starts, dtype=torch.long, device=device)


class HeldRows:
    """Which sentences each slot's line may still become. A slot whose row is not held chooses as it likes."""

    def __init__(self, text: VerbatimText, slots: int) -> None:
        device, sentences = text.ids.device, len(text.starts)
        self.text = text
        self.held = torch.zeros(slots, dtype=torch.bool, device=device)
        self.depth = torch.zeros(slots, dtype=torch.long, device=device)
        self.left = torch.ones(slots, sentences, dtype=torch.bool, device=device)
        self.open = torch.ones(slots, sentences, dtype=torch.bool, device=device)
        """Sentences that were not said yet, and those of them that go on as the line does."""

    @property
    def _states(self) -> tuple[torch.Tensor, ...]:
        return self.held, self.depth, self.left, self.open

    def take_over(self, other: HeldRows) -> None:
        """Go on where fewer slots stood."""
        for mine, theirs in zip(self._states, other._states, strict=True):
            mine[: len(theirs)] = theirs

    def swap(self, slot: int, other: int) -> None:
        """Exchange two rows."""
        for state in self._states:
            state[[slot, other]] = state[[other, slot]]

    def begin(self, slots: slice, held: Sequence[bool]) -> None:
        """Let new rows begin, some of them held."""
        self.held[slots] = torch.tensor(held, device=self.held.device)
        self.depth[slots], self.left[slots], self.open[slots] = 0, True, True

    def choose(self, scores: torch.Tensor, slots: slice) -> torch.Tensor:
        """The likeliest token of each row that may follow. Nothing is read back from the device."""
        held, depth, left, may = (state[slots] for state in self._states)
        at = (self.text.starts + depth[:, None]).clamp(max=len(self.text.ids) - 1)
        following = self.text.ids[at].long()
        allowed = self._allow(following, may, scores.shape[1])
        unsaid = left.all(-1) & (depth == 0) & may.any(-1)
        ends = allowed[:, self.text.line_break] | (~unsaid & (depth == 0)) | ~may.any(-1)
        allowed[:, self.text.stop] |= ends[:, None]
        chosen = scores.masked_fill(held[:, None] & ~allowed, -torch.inf).argmax(-1)
        over = (chosen == self.text.line_break)[:, None]
        may = may & (following == chosen[:, None])
        left = left & ~(may & over)
        self.depth[slots] = (depth + 1).masked_fill(over[:, 0], 0)
        self.open[slots] = torch.where(over, left, may)
        self.left[slots] = left
        return chosen

    def _allow(self, following: torch.Tensor, may: torch.Tensor, vocabulary: int) -> torch.Tensor:
        """What may follow in each row: (rows, vocabulary)."""
        ids = following.masked_fill(~may, vocabulary)
        allowed = torch.zeros(len(may), vocabulary + 1, dtype=torch.bool, device=may.device)
        return allowed.scatter_(1, ids, True)[:, :vocabulary]
