"""The interface of retrievers: texts in, an index out, ranked hits for queries.

Indexes of several contexts are searched as one (`Retriever.merge`), so that hits in different contexts compare.

A new retriever is one file that subclasses `Retriever` and `Index`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from memorag_core.concurrency.progress import ProgressScope

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_Row = TypeVar("_Row")

Allowed: TypeAlias = "NDArray[np.bool_] | None"
"""Which texts may be hits: bool (texts); None where all may."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Text number `chunk` of the index, with the retriever's own score (higher is better)."""

    chunk: int
    score: float


class Finder(ABC):
    """A finder searches the texts that it was made of."""

    @abstractmethod
    def search(self, queries: Sequence[str], k: int, allowed: Allowed = None) -> list[list[Hit]]:
        """The best `k` hits of each query among the texts allowed, best first; fewer where there are fewer texts."""


class Stored(ABC):
    """What an indexer makes of some texts, which can be kept."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what `Indexer.load` needs into `folder`."""


class Index(Finder, Stored):
    """The searchable form of some texts, which can be kept."""


S = TypeVar("S", bound=Stored)
X = TypeVar("X", bound=Index)


class Indexer(ABC, Generic[S]):
    """Makes and reloads indexes of one kind; the model behind it is loaded once."""

    model_id: str
    revision: str

    @abstractmethod
    def index(self, texts: Sequence[str], progress: ProgressScope) -> S:
        """Index texts."""

    def update(self, index: S, old: Sequence[str], new: Sequence[str], progress: ProgressScope) -> S:
        """Return what `index(new)` gives, reusing `index`, which is that of `old` and stays as it is."""
        return self.index(new, progress)

    @abstractmethod
    def load(self, folder: Path) -> S:
        """Read back what `Stored.save` wrote."""

    def settings(self) -> dict[str, Any]:
        """What besides the weights decides the index; part of a context's identity."""
        return {}


class Retriever(Indexer[X]):
    """An indexer whose indexes are searched, alone and several as one."""

    @property
    @abstractmethod
    def max_tokens(self) -> int:
        """The longest text, in its own tokens, that is read whole; so long are the texts to index at most."""

    @property
    def longest_passage(self) -> int:
        """The longest passage that is read whole with its title before it."""
        return self.max_tokens * 2 // 3

    @abstractmethod
    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special tokens."""

    @abstractmethod
    def merge(self, indexes: Sequence[X], sizes: Sequence[int]) -> Finder:
        """Merge indexes of `sizes` texts each: the result finds what one index of all their texts would find."""


def split_allowed(allowed: Allowed, sizes: Sequence[int]) -> list[Allowed]:
    """Which texts of each of several indexes, of so many texts each, may be hits."""
    ends = list(accumulate(sizes))
    return [None if allowed is None else allowed[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def encode_missing(
    known: Mapping[str, _Row], texts: Sequence[str], read: Callable[[Sequence[str]], Sequence[_Row]]
) -> list[_Row]:
    """Return the row of each text: a known one, or what `read` gives; each text is read once."""
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    rows = {**known, **dict(zip(missing, read(missing), strict=True))}
    return [rows[text] for text in texts]
