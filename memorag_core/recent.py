"""A mapping that keeps what was used last and drops the rest."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """At most `most` entries; reading or writing one makes it the most recent. Guard it where threads share it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The entry, now the most recent, or None."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: K, value: V) -> V:
        """Keep an entry, dropping the least recent beyond `most`; returns it."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > self.most:
            self._entries.popitem(last=False)
        return value

    def drop(self, key: K) -> None:
        """Forget an entry, if it is here."""
        self._entries.pop(key, None)

    def values(self) -> list[V]:
        """All entries, the most recent last."""
        return list(self._entries.values())
