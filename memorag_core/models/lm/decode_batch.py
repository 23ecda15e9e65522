"""The decode engine: rows that join a running batch, advance by steps of fixed shapes, and leave it when they end.

Each row has a slot of static key-value buffers. Lengths, masks and chosen tokens stay on the device, so that a step
reads nothing back and can be captured as a CUDA graph; the host looks every few steps at what has ended. All rows
continue one `Prefix`, which says how the model reads on. A prompt that begins as another one in the slots is not read
twice: what is alike is copied.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from memorag_core.models.lm.graphs import StepGraphs, StepShape
from memorag_core.models.lm.key_values import KeyValues
from memorag_core.models.lm.prefix import Prefix
from memorag_core.models.lm.slots import SlotBuffers

TOKENS_A_FORWARD = 2048
STEPS_A_LOOK = {"cuda": 8}
"""Steps between two looks of the host; where device and host are one, it looks after each."""
CAPACITY_UNIT = {"cuda": 1024}
"""Room for tokens comes in such parts, elsewhere in `SMALL_UNIT`: where it grows, steps are captured anew."""
SMALL_UNIT = 256
KEPT_BYTES = {"cuda": 1 << 30}
"""Buffers of so many bytes, elsewhere `FEW_BYTES`, are kept for the next rows, with what they hold and their graphs."""
FEW_BYTES = 1 << 28
MOST_PADDING = 0.75
"""Prompts read together are at least this part of the longest among them."""
SHORTEST_PREFIX = 32
"""A shorter common beginning of two prompts is read again."""


@dataclass(eq=False)
class DecodeRow:
    """A prompt and what has been said to it so far."""

    prompt: Sequence[int]
    max_new_tokens: int
    repetition_penalty: float = 1.0
    reply: list[int] = field(default_factory=list)
    ended: bool = False
    folded: int = 0
    """How many tokens it had read when entries of it were folded last."""

    @property
    def most(self) -> int:
        """The most tokens that it reads."""
        return len(self.prompt) + self.max_new_tokens

    @property
    def read(self) -> int:
        """The tokens that it has read: the last one chosen is not read yet."""
        return len(self.prompt) + max(0, len(self.reply) - 1)

    def take(self, tokens: Sequence[int], stop: frozenset[int]) -> None:
        """Take the tokens chosen next, up to one that ends the row."""
        for token in tokens:
            self.ended = self.ended or token in stop
            if self.ended:
                return
            self.reply.append(token)
            self.ended = len(self.reply) == self.max_new_tokens


class DecodeBatch:
    """Rows decoded greedily together behind one prefix. For one thread at a time.

    The row `rows[i]` has slot i. Behind these stand the prompts of rows that left, until a slot is needed.
    """

    last: torch.Tensor
    lengths: torch.Tensor
    alive: torch.Tensor
    penalties: torch.Tensor
    seen: torch.Tensor
    chosen: torch.Tensor
    _buffers: SlotBuffers
    _graphs: StepGraphs

    def __init__(self, prefix: Prefix, stop: frozenset[int]) -> None:
        """Take a prefix whose model has the attention of `attention.register()`, and the ids that end a row."""
        self.prefix, self.model = prefix, prefix.model
        self.rows: list[DecodeRow] = []
        self._stop = stop
        self._looks = STEPS_A_LOOK.get(self.model.device.type, 1)
        self._unit = CAPACITY_UNIT.get(self.model.device.type, SMALL_UNIT)
        self._held: list[Sequence[int]] = []
        self._ahead = 0
        self.cursor = torch.zeros(1, dtype=torch.long, device=self.model.device)
        self._allocate(0, 0)

    @property
    def nbytes(self) -> int:
        """Bytes of all slots."""
        return self._buffers.nbytes

    @property
    def kept_bytes(self) -> int:
        """How large it may be to be kept when nothing runs in it."""
        return KEPT_BYTES.get(self.model.device.type, FEW_BYTES)

    def let_go(self) -> KeyValues | None:
        """Hold the memory no more, which comes again with the next rows; returns it, if there is one to come again."""
        memory = None if self.prefix.alone else self.prefix.memory
        del self.prefix
        return memory

    @torch.inference_mode()
    def reserve(self, slots: int, tokens: int) -> None:
        """Make room for so many rows, of so many tokens each."""
        buffers, capacity = self._buffers, self.prefix.most(tokens)
        if slots > buffers.slots:
            slots = max(slots, 2 * buffers.slots)
        if slots > buffers.slots or capacity > buffers.capacity:
            self._allocate(max(slots, buffers.slots), max(buffers.capacity, _round_up(capacity, self._unit)))

    @torch.inference_mode()
    def join(self, rows: Sequence[DecodeRow], on_forward: Callable[[], None] = lambda: None) -> None:
        """Read the prompts of rows in one batch and choose the first token of each.

        `on_forward` is called after every pass through the model; where it raises, the rows have not joined.
        """
        first, rows = len(self.rows), sorted(rows, key=lambda row: -len(row.prompt))
        self.reserve(first + len(rows), max(row.most for row in rows))
        known = min(self._claim(first + number, row.prompt) for number, row in enumerate(rows))
        slots = slice(first, first + len(rows))
        self._begin(slots, rows)
        self._read(first, rows, known, on_forward)
        self.rows += rows
        self._held[slots] = [() if row.folded else row.prompt for row in rows]
        self.lengths[slots] = torch.tensor([len(row.prompt) for row in rows], device=self.model.device)
        self.alive[slots] = 1
        for row, token in zip(rows, self.last[slots].tolist(), strict=True):
            row.take([token], self._stop)
        self._part()

    @torch.inference_mode()
    def advance(self) -> None:
        """Go on by a few steps, give every row its tokens, and part with those that ended.

        Where a step fails and is done again, it goes on with that step.
        """
        if not self.rows:
            return
        steps = min(self._looks, *(row.max_new_tokens - len(row.reply) for row in self.rows))
        while self._ahead < steps:
            read = [row.read + self._ahead for row in self.rows]
            for slot, (row, tokens) in enumerate(zip(self.rows, read, strict=True)):
                self._fold(slot, row, tokens)
            self._graphs.run(self.step, self.prefix.shape(read))
            self._ahead += 1
        self._ahead = 0
        self.cursor.zero_()
        for row, tokens in zip(self.rows, self.chosen[: len(self.rows), :steps].tolist(), strict=True):
            row.take(tokens, self._stop)
        self._part()

    @torch.inference_mode()
    def leave(self, row: DecodeRow) -> None:
        """Part with a row that is not wanted any more."""
        row.ended = True
        self._part()

    def step(self, shape: StepShape) -> None:
        """Choose the next token of the first rows. Nothing is read back from the device."""
        slots = slice(0, shape.rows)
        logits = self.prefix.step(shape, self.last[slots], self.lengths[slots], self._buffers)
        chosen = self._choose(logits, slots)
        self.chosen[slots].index_copy_(1, self.cursor, chosen[:, None])
        self.cursor.add_(1)
        self.lengths[slots].add_(self.alive[slots])

    def _choose(self, logits: torch.Tensor, slots: slice) -> torch.Tensor:
        """The likeliest token of every row; logits of those it has already generated are divided by the penalty."""
        seen, penalty = self.seen[slots], self.penalties[slots, None]
        punished = torch.where(logits > 0, logits / penalty, logits * penalty)
        chosen = torch.where(seen, punished, logits).argmax(-1)
        seen.scatter_(1, chosen[:, None], True)
        self.last[slots] = chosen
        return chosen

    def _read(self, first: int, rows: Sequence[DecodeRow], known: int, on_forward: Callable[[], None]) -> None:
        """Read prompts, the longest first, from the token `known` on."""
        at = known
        while going := [row for row in rows if len(row.prompt) > at]:
            for number, row in enumerate(going):
                self._fold(first + number, row, at)
            end = self.prefix.end(at, max(1, TOKENS_A_FORWARD // len(going)))
            logits = self.prefix.read([row.prompt[at:end] for row in going], at, self._buffers, first)
            for number, row in enumerate(going):
                if len(row.prompt) <= end:
                    slot = first + number
                    self._choose(logits[number][None], slice(slot, slot + 1))
            on_forward()
            at = end

    def _fold(self, slot: int, row: DecodeRow, tokens: int) -> None:
        """Fold what a row must fold after so many tokens, if that is not done."""
        if self.prefix.folds(tokens) and row.folded != tokens:
            self.prefix.fold(self._buffers, slot, tokens)
            row.folded = tokens
            self._held[slot] = ()

    def _begin(self, slots: slice, rows: Sequence[DecodeRow]) -> None:
        """Forget the rows that had these slots before."""
        self.penalties[slots] = torch.tensor([row.repetition_penalty for row in rows], device=self.model.device)
        self.seen[slots] = False
        for row in rows:
            row.folded = 0

    def _part(self) -> None:
        """Let rows that ended leave; the last rows move into their slots."""
        for slot in reversed(range(len(self.rows))):
            if self.rows[slot].ended:
                last = len(self.rows) - 1
                self._swap(slot, last)
                self.alive[last] = 0
                self._hold(last, self._held[last])
                self.rows[slot] = self.rows[last]
                self.rows.pop()

    def _swap(self, slot: int, other: int) -> None:
        """Exchange two rows, keeping what both hold."""
        if slot == other:
            return
        self._buffers.swap(slot, other, self.prefix.most(max(self.rows[slot].read, self.rows[other].read)))
        for state in (self.last, self.lengths, self.penalties, self.seen, self.alive):
            state[[slot, other]] = state[[other, slot]]
        self._held[slot], self._held[other] = self._held[other], self._held[slot]

    def _claim(self, slot: int, prompt: Sequence[int]) -> int:
        """Bring into a free slot what any slot holds of a prompt's beginning; returns the number of tokens."""
        shared = [_common(prompt, held) for held in self._held]
        best = max(range(len(shared)), key=lambda number: (shared[number], number == slot))
        tokens = min(shared[best], len(prompt) - 1)
        tokens = tokens if tokens >= SHORTEST_PREFIX else 0
        if best != slot:
            self._buffers.copy(best, slot, self.prefix.entries(tokens))
        self._hold(slot, prompt[:tokens])
        return len(self._held[slot])

    def _hold(self, slot: int, prompt: Sequence[int]) -> None:
        """Note which beginning of a prompt a free slot holds: a step of more rows than there are writes behind it."""
        self._held[slot] = prompt[:-1] if self.prefix.folds(len(prompt)) else prompt
        self.lengths[slot] = len(self._held[slot])

    def _allocate(self, slots: int, capacity: int) -> None:
        """Have new, larger buffers and states, with what stood in the old ones; all are made before any is replaced."""
        device, vocabulary = self.model.device, self.model.config.vocab_size
        buffers = SlotBuffers(self.model, slots, capacity)
        numbers = {name: torch.zeros(slots, dtype=torch.long, device=device) for name in ("last", "lengths", "alive")}
        seen = torch.zeros(slots, vocabulary, dtype=torch.bool, device=device)
        states = {**numbers, "penalties": torch.ones(slots, device=device), "seen": seen}
        chosen = torch.zeros(slots, self._looks, dtype=torch.long, device=device)
        captures = device.type == "cuda" and self.prefix.captured and not self.prefix.alone
        graphs = StepGraphs(slots, capacity, device if captures else None)
        if hasattr(self, "_buffers"):
            buffers.take_over(self._buffers)
            for name, state in states.items():
                state[: self._buffers.slots] = getattr(self, name)
        vars(self).update(states, _buffers=buffers, chosen=chosen, _graphs=graphs)
        self._held += [()] * (slots - len(self._held))


def group_alike(rows: Sequence[DecodeRow]) -> list[list[DecodeRow]]:
    """Group rows whose prompts are read in one batch: of like length, so that little is read of what fills up."""
    groups: list[list[DecodeRow]] = []
    for row in sorted(rows, key=lambda row: -len(row.prompt)):
        longest = len(groups[-1][0].prompt) if groups else 0
        if longest * MOST_PADDING <= len(row.prompt) and groups:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two prompts have in common at their beginning."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit
