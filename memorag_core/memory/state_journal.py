"""A key-value state that is kept while it grows, so that reading which is interrupted goes on where it was."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from safetensors.torch import load, save

from memorag_core.concurrency.journal import Form, Journal
from memorag_core.models.lm.key_values import KeyValues, RaggedKeyValues, key_values
from memorag_core.models.lm.prefill import PrefillState

PARTS = 64
"""A text is kept in about so many parts."""


@dataclass(frozen=True)
class Part:
    """What some tokens, read behind others, added to the state of these."""

    ids: list[int]
    added: KeyValues


def _pack(part: Part) -> bytes:
    names = [("keys", part.added.keys), ("values", part.added.values)]
    tensors = {f"{name}.{n}": one.contiguous() for name, layers in names for n, one in enumerate(layers)}
    if isinstance(part.added, RaggedKeyValues):
        tensors["counts"] = part.added.counts
    return save(tensors | {"ids": torch.tensor(part.ids), "next": torch.tensor(part.added.next_position)})


def _unpack(kept: bytes) -> Part:
    tensors = load(kept)
    ids, position, counts = tensors.pop("ids").tolist(), int(tensors.pop("next")), tensors.pop("counts", None)
    keys, values = (tuple(tensors[f"{name}.{n}"] for n in range(len(tensors) // 2)) for name in ("keys", "values"))
    return Part(ids, key_values(keys, values, position, counts))


PART = Form("state", _pack, _unpack)


class StateJournal:
    """The state of the first of some tokens, as a journal keeps it; `read` of them, which stand for `entries`."""

    def __init__(self, journal: Journal, ids: Sequence[int], device: torch.device) -> None:
        self.journal = journal
        self.device = device
        self.ids = ids
        self.read = self.entries = 0

    def resume(self, read: int = 0, entries: int = 0, start: KeyValues | None = None) -> PrefillState | None:
        """The latest state that was kept behind the first `read` tokens; None where nothing was.

        `start` begins with their state, `entries` that no longer change.
        """
        self.read, self.entries = read, entries
        states = [start.first(entries)] if start and entries else []
        for part in self._parts(read):
            states.append(part.added.to(self.device))
            self.read += len(part.ids)
        if self.read == read:
            return None
        joined = reduce(lambda before, behind: before.join(behind), states)
        self.entries = joined.tokens
        return PrefillState(joined, self.read)

    def keep(self, read: int, state: KeyValues) -> None:
        """Keep the state of the first `read` tokens, once enough were read since the last time."""
        if not self.journal.writes or (read - self.read) * PARTS < len(self.ids):
            return
        added = state.after(self.entries).to(torch.device("cpu"))
        self.journal.keep(PART, {self._name(self.read): Part(list(self.ids[self.read : read]), added)})
        self.read, self.entries = read, state.tokens

    def _parts(self, read: int) -> Iterator[Part]:
        while (part := self.journal.get(PART, self._name(read))) is not None:
            if part.ids != list(self.ids[read : read + len(part.ids)]):
                return
            yield part
            read += len(part.ids)

    def _name(self, read: int) -> str:
        return hashlib.sha256(array("q", self.ids[:read]).tobytes()).hexdigest()
