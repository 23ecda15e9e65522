"""BM25 over the words of any script: no model, no limit on length, an index in a blink."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import regex
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from memorag_core.retrieval.base import Hit, Index, Retriever
from memorag_core.stopping import check
from memorag_core.types import OnStep

POSTINGS = "bm25.safetensors"
VOCABULARY = "bm25.json"
K1, B = 1.2, 0.75
BATCH = 1024

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = regex.compile(
    rf"(?V1)(?P<unspaced>[{_UNSPACED}][{_UNSPACED}\p{{M}}]*)|[[\p{{L}}\p{{N}}]--[{_UNSPACED}]][[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]*"
)
_ACCENT = regex.compile("[\u0300-\u036f]")
_FUNCTION_WORDS = """
a an the of in on at to for and or but not is are was were be by with from as that this it its s t
who what when where which how do does did has have had
"""


def words(text: str) -> list[str]:
    """Stems of lower-case words without accents; of scripts without spaces (and Korean), characters and their pairs."""
    plain = _ACCENT.sub("", unicodedata.normalize("NFKD", text).casefold())
    return list(_words(unicodedata.normalize("NFC", plain)))


def _words(text: str) -> Iterator[str]:
    for match in _WORD.finditer(text):
        word = match.group()
        if match["unspaced"]:
            yield from word
            yield from (word[at : at + 2] for at in range(len(word) - 1))
        else:
            yield _stem(word)


@lru_cache(maxsize=1 << 17)
def _stem(word: str) -> str:
    """Snowball's English stem; a stemmer holds the word it works on, so threads do not share one."""
    from snowballstemmer.english_stemmer import EnglishStemmer

    return str(EnglishStemmer().stemWord(word))


@lru_cache(maxsize=1)
def _function_words() -> frozenset[str]:
    return frozenset(words(_FUNCTION_WORDS))


class Bm25Retriever(Retriever):
    """Texts by the rare words they share with a query (Robertson and Zaragoza, 2009, in Lucene's variant)."""

    model_id = "bm25"
    revision = "1"

    @property
    def max_tokens(self) -> int:
        return sys.maxsize

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(words(text)) for text in texts]

    def index(self, texts: Sequence[str], on_step: OnStep) -> Bm25Index:
        vocabulary: dict[str, int] = {}
        bags: list[list[int]] = []
        for start in range(0, len(texts), BATCH):
            check()
            batch = map(words, texts[start : start + BATCH])
            bags.extend([vocabulary.setdefault(word, len(vocabulary)) for word in text] for text in batch)
            on_step(min(start + BATCH, len(texts)), len(texts))
        return Bm25Index(vocabulary, _postings(bags, len(vocabulary)), len(texts))

    def load(self, folder: Path) -> Bm25Index:
        stored = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
        vocabulary = {word: number for number, word in enumerate(stored["words"])}
        return Bm25Index(vocabulary, load_file(folder / POSTINGS), stored["texts"])

    def settings(self) -> dict[str, Any]:
        return {"k1": K1, "b": B}


class Bm25Index(Index):
    """Scores of each word in each text that has it: `data` float32 and `indices` (texts), `indptr` by word."""

    def __init__(self, vocabulary: dict[str, int], postings: dict[str, NDArray[Any]], texts: int) -> None:
        self.vocabulary = vocabulary
        self.postings = postings
        self.texts = texts
        self._bm25 = _bm25()
        self._bm25.scores = {**postings, "num_docs": texts}
        self._bm25.nonoccurrence_array = None

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """As `Index.search`; texts that share no word with a query are no hits of it."""
        return [self._search(query, k) for query in queries]

    def save(self, folder: Path) -> None:
        save_file(self.postings, folder / POSTINGS)
        stored = {"texts": self.texts, "words": list(self.vocabulary)}
        (folder / VOCABULARY).write_text(json.dumps(stored, ensure_ascii=False), encoding="utf-8")

    def _search(self, query: str, k: int) -> list[Hit]:
        asked = words(query)
        content = [word for word in asked if word not in _function_words()]
        known = [self.vocabulary[word] for word in content or asked if word in self.vocabulary]
        if not known:
            return []
        scores = self._bm25.get_scores_from_ids(known)
        found = np.flatnonzero(scores)
        best = found[np.argsort(-scores[found], kind="stable")][:k]
        return [Hit(int(text), float(scores[text])) for text in best]


def _bm25() -> Any:
    from bm25s import BM25

    return BM25(k1=K1, b=B, method="lucene")


def _postings(bags: list[list[int]], words: int) -> dict[str, NDArray[Any]]:
    """Scores by word and text; texts without a word have none."""
    if not words:
        return {name: np.zeros(1, np.int64) for name in ("data", "indices", "indptr")}
    built = _bm25().build_index_from_ids(range(words), bags, show_progress=False)
    return {name: np.ascontiguousarray(built[name]) for name in ("data", "indices", "indptr")}
