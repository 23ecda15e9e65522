"""The one interface of retrievers: texts in, an index out, ranked hits for queries.

Indexes of several contexts are searched as one (`Retriever.merge`), so that hits in different contexts compare.

A new retriever is one file that subclasses `Retriever` and `Index`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from memorag_core.concurrency.progress import ProgressScope

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Hit:
    """Text number `chunk` of the index, with the retriever's own score (higher is better)."""

    chunk: int
    score: float


class Finder(ABC):
    """A finder searches the texts that it was made of."""

    @abstractmethod
    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """The best `k` hits of each query, best first; fewer where it holds fewer texts."""


class Index(Finder):
    """The searchable form of some texts, which can be kept."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what `Retriever.load` needs into `folder`."""


class Retriever(ABC):
    """Makes and reloads indexes; the model behind it is loaded once."""

    model_id: str
    revision: str

    @property
    @abstractmethod
    def max_tokens(self) -> int:
        """The longest text, in its own tokens, that is read whole."""

    @property
    def longest_passage(self) -> int:
        """The longest passage that is read whole with its title before it."""
        return self.max_tokens * 2 // 3

    @abstractmethod
    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special tokens."""

    @abstractmethod
    def index(self, texts: Sequence[str], progress: ProgressScope) -> Index:
        """Index texts, each within `max_tokens`."""

    def update(self, index: Index, old: Sequence[str], new: Sequence[str], progress: ProgressScope) -> Index:
        """Return what `index(new)` gives, reusing `index`, which is that of `old` and stays as it is."""
        return self.index(new, progress)

    @abstractmethod
    def load(self, folder: Path) -> Index:
        """Read back what `Index.save` wrote."""

    @abstractmethod
    def merge(self, indexes: Sequence[Index], sizes: Sequence[int]) -> Finder:
        """Merge indexes of `sizes` texts each: the result finds what one index of all their texts would find."""

    def settings(self) -> dict[str, Any]:
        """What besides the weights decides the index; part of a context's identity."""
        return {}


def encode_missing(
    known: Mapping[str, Row], texts: Sequence[str], read: Callable[[Sequence[str]], Sequence[Row]]
) -> list[Row]:
    """Return the row of each text: a known one, or what `read` gives; each text is read once."""
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    rows = {**known, **dict(zip(missing, read(missing), strict=True))}
    return [rows[text] for text in texts]
