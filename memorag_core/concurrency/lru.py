"""An LRU cache keeps the entries used last and drops the rest."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LRUCache(Generic[K, V]):
    """Entries of at most `most` in all, each 1 or its `size`, and the latest whatever its size.

    Reading or writing an entry makes it the most recent. Threads may share it.
    """

    def __init__(self, most: int, size: Callable[[V], int] = lambda _: 1) -> None:
        self.most = most
        self._size = size
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._guard = threading.RLock()

    def get(self, key: K) -> V | None:
        """Return the entry, which is now the most recent, or None."""
        with self._guard:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: K, value: V) -> V:
        """Keep an entry, dropping the least recent beyond `most`; returns it."""
        with self._guard:
            self._entries[key] = value
            self._entries.move_to_end(key)
            while len(self._entries) > 1 and self.size > self.most:
                self._entries.popitem(last=False)
        return value

    @property
    def size(self) -> int:
        """The size of all entries together."""
        return sum(map(self._size, self.values()))

    def drop(self, key: K) -> None:
        """Forget an entry, if it is here."""
        with self._guard:
            self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget all entries."""
        with self._guard:
            self._entries.clear()

    def values(self) -> list[V]:
        """Return all entries, the most recent last."""
        with self._guard:
            return list(self._entries.values())
