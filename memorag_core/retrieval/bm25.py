"""BM25 over the words of any script: no model, no limit on length, an index in a blink."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import chain
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.concurrency.progress import ProgressScope
from memorag_core.retrieval.base import Allowed, Finder, Hit, Index, Retriever
from memorag_core.text.terms import index_terms, stop_words

POSTINGS = "bm25.safetensors"
VOCABULARY = "bm25.json"
K1, B = 1.2, 0.75
BATCH = 1024


class Bm25Retriever(Retriever["Bm25Index"]):
    """Texts by the rare words they share with a query (Robertson and Zaragoza, 2009, in Lucene's variant)."""

    model_id = "bm25"
    revision = "3"

    @property
    def max_tokens(self) -> int:
        return sys.maxsize

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(index_terms(text)) for text in texts]

    def index(self, texts: Sequence[str], progress: ProgressScope) -> Bm25Index:
        vocabulary: dict[str, int] = {}
        bags: list[list[int]] = []
        for start in range(0, len(texts), BATCH):
            raise_if_cancelled()
            batch = map(index_terms, texts[start : start + BATCH])
            bags.extend([vocabulary.setdefault(word, len(vocabulary)) for word in text] for text in batch)
            progress.step(min(start + BATCH, len(texts)), len(texts))
        return Bm25Index(vocabulary, _postings(bags, len(vocabulary)), len(texts))

    def load(self, folder: Path) -> Bm25Index:
        stored = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
        vocabulary = {word: number for number, word in enumerate(stored["words"])}
        return Bm25Index(vocabulary, load_file(folder / POSTINGS), stored["texts"])

    def merge(self, indexes: Sequence[Bm25Index], sizes: Sequence[int]) -> MergedBm25:
        return MergedBm25(indexes)

    def settings(self) -> dict[str, Any]:
        return {"k1": K1, "b": B}


class Bm25Index(Index):
    """Scores of each word in each text that has it: `data` float32 and `indices` (texts), `indptr` by word."""

    def __init__(self, vocabulary: dict[str, int], postings: dict[str, NDArray[Any]], texts: int) -> None:
        self.vocabulary = vocabulary
        self.postings = postings
        self.texts = texts

    def search(self, queries: Sequence[str], k: int, allowed: Allowed = None) -> list[list[Hit]]:
        """As `Index.search`; texts that share no word with a query are no hits of it."""
        return [_best(self._score(query), k, allowed) for query in queries]

    def save(self, folder: Path) -> None:
        save_file(self.postings, folder / POSTINGS)
        stored = {"texts": self.texts, "words": list(self.vocabulary)}
        (folder / VOCABULARY).write_text(json.dumps(stored, ensure_ascii=False), encoding="utf-8")

    def document_frequency(self, word: str) -> int:
        """How many texts have a word."""
        return len(self._postings_of(word))

    def scores(self, weights: Sequence[tuple[str, float]]) -> NDArray[np.float32]:
        """The score of each text for some words, each of which is so many times as rare as it is in these texts."""
        scores = np.zeros(self.texts, np.float32)
        for word, weight in weights:
            at = self._postings_of(word)
            scores[self.postings["indices"][at.start : at.stop]] += weight * self.postings["data"][at.start : at.stop]
        return scores

    def _postings_of(self, word: str) -> range:
        """Where the postings of a word are."""
        if (number := self.vocabulary.get(word)) is None:
            return range(0)
        return range(*map(int, self.postings["indptr"][number : number + 2]))

    def _score(self, query: str) -> NDArray[np.float32]:
        return self.scores([(word, 1.0) for word in _query_terms(query)])


class MergedBm25(Finder):
    """Several indexes, in all of which a word is as rare as in all their texts together.

    Lengths of texts still compare with the mean of their own index.
    """

    def __init__(self, indexes: Sequence[Bm25Index]) -> None:
        self.indexes = indexes
        self.texts = sum(index.texts for index in indexes)

    def search(self, queries: Sequence[str], k: int, allowed: Allowed = None) -> list[list[Hit]]:
        return [_best(self._score(query), k, allowed) for query in queries]

    def _score(self, query: str) -> NDArray[np.float32]:
        rarities = [
            (word, _idf(self.texts, sum(i.document_frequency(word) for i in self.indexes)))
            for word in _query_terms(query)
        ]
        scores = [
            index.scores(
                [(word, rarity / _idf(index.texts, index.document_frequency(word))) for word, rarity in rarities]
            )
            for index in self.indexes
        ]
        return np.concatenate(scores)


def _query_terms(query: str) -> list[str]:
    """The words of a query to look for: without function words, unless there are no others."""
    words = index_terms(query)
    return [word for word in words if word not in stop_words()] or words


def _best(scores: NDArray[np.float32], k: int, allowed: Allowed) -> list[Hit]:
    found = np.flatnonzero(scores if allowed is None else scores * allowed)
    best = found[np.argsort(-scores[found], kind="stable")][:k]
    return [Hit(int(text), float(scores[text])) for text in best]


def _idf(texts: int, document_frequency: int) -> float:
    """The inverse document frequency, in Lucene's variant."""
    return log(1 + (texts - document_frequency + 0.5) / (document_frequency + 0.5))


def _postings(bags: list[list[int]], words: int) -> dict[str, NDArray[Any]]:
    """Scores by word and text; texts without a word have none."""
    if not words:
        return {name: np.zeros(1, np.int64) for name in ("data", "indices", "indptr")}
    lengths = np.array([len(bag) for bag in bags])
    flat = np.fromiter(chain.from_iterable(bags), np.int64, lengths.sum())
    pairs, counts = np.unique(flat * len(bags) + np.repeat(np.arange(len(bags)), lengths), return_counts=True)
    word, text = np.divmod(pairs, len(bags))
    document_frequency = np.bincount(word, minlength=words)
    rarities = np.array([_idf(len(bags), count) for count in document_frequency.tolist()], np.float32)
    saturated = counts / (K1 * (1 - B + B * lengths / lengths.mean())[text] + counts)
    return {
        "data": (rarities[word] * saturated).astype(np.float32),
        "indices": text.astype(np.int32),
        "indptr": np.concatenate([[0], document_frequency.cumsum()]).astype(np.int64),
    }
