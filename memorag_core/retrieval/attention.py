"""Recall by attention: what a few heads of the memory model look at, from a question to every passage of a context.

Some heads copy from the places that answer (Wu et al., Retrieval Head Mechanistically Explains Long-Context Factuality,
arXiv 2404.15574), and their attention ranks passages (Chen et al., Attention in Large Language Models Yields Efficient
Zero-Shot Re-Rankers, arXiv 2410.02642). Each passage is read on its own and the keys of those heads are kept, so length
is no limit; a question is read once, and nothing is decoded. A text of more tokens than characters is in a script that
the model has not learned: where its heads look in it tells nothing, and it is not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, load_file, save, save_file

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.concurrency.journal import Form
from memorag_core.concurrency.progress import ProgressScope
from memorag_core.config import Head
from memorag_core.models.lm.head_layout import check_heads, group_of, head_width
from memorag_core.models.question_reader import QuestionReader
from memorag_core.retrieval.base import Allowed, Hit, Indexer, Stored, encode_missing
from memorag_core.text.chunking import Span

KEYS = "attention.safetensors"
TOKENS_AT_ONCE = 1 << 12
SMALLEST = 1e-6
FAR = 200
"""Rotary position given to the question's first token, the same for every passage."""


class AttentionIndexer(Indexer["AttentionIndex"]):
    """An indexer of texts by the attention that a query's tokens pay to theirs, in the retrieval heads."""

    def __init__(self, reader: QuestionReader, heads: Sequence[Head]) -> None:
        """Take what reads questions for a model, and its (layer, head) pairs, as `memorag heads` finds them."""
        check_heads(reader.config, heads, reader.model_id)
        self.reader = reader
        self.heads = tuple(heads)
        self.model_id = reader.model_id
        self.revision = reader.revision

    @cached_property
    def groups(self) -> list[Head]:
        """The (layer, key-value head) pairs that the heads read."""
        return sorted({group_of(self.reader.config, head) for head in self.heads})

    @cached_property
    def readers(self) -> list[list[int]]:
        """Of each of the groups, the numbers of the heads that read it."""
        config, heads = self.reader.config, self.heads
        return [[at for at, head in enumerate(heads) if group_of(config, head) == group] for group in self.groups]

    def index(self, texts: Sequence[str], progress: ProgressScope) -> AttentionIndex:
        rows = self._read_keys(texts, progress)
        return self._make_index(rows)

    def update(
        self, index: AttentionIndex, old: Sequence[str], new: Sequence[str], progress: ProgressScope
    ) -> AttentionIndex:
        """Read only the texts that are not among the old ones."""
        known = dict(zip(old, index.split(), strict=True))
        return self._make_index(encode_missing(known, new, lambda missing: self._read_keys(missing, progress)))

    def load(self, folder: Path) -> AttentionIndex:
        tensors = load_file(folder / KEYS)
        return AttentionIndex(self, Keys(tensors["keys"], tensors["scales"]), tensors["lengths"])

    def merge(self, indexes: Sequence[AttentionIndex]) -> AttentionIndex:
        """Merge the keys of all texts; a question's attention is shared among all of them."""
        return self._make_index([keys for index in indexes for keys in index.split()])

    def blank(self, texts: int) -> AttentionIndex:
        """Make an index of texts that are not read: nothing in them is attended to."""
        index = self._make_index([])
        return AttentionIndex(self, index.keys, np.zeros(texts, np.int32))

    def settings(self) -> dict[str, Any]:
        return {"heads": [list(head) for head in self.heads]}

    def _read_keys(self, texts: Sequence[str], progress: ProgressScope) -> list[Keys]:
        """The keys of each text, those of like length read together; none of a text that the model cannot read."""
        ids = self.reader.whole.encode(texts) if texts else []
        read = partial(self._read_batch, ids=dict(zip(texts, ids, strict=True)))
        readable = [number for number, text in enumerate(texts) if len(ids[number]) <= len(text)]
        rows = dict.fromkeys(range(len(texts)), self._no_keys())
        done = 0
        for batch in _batches(ids, readable):
            raise_if_cancelled()
            rows |= zip(batch, progress.journal.finish(KEPT, [texts[number] for number in batch], read), strict=True)
            done += len(batch)
            progress.step(done, len(readable))
        return list(rows.values())

    def _no_keys(self) -> Keys:
        groups, width = len(self.groups), head_width(self.reader.config)
        return Keys(np.zeros((0, groups, width), np.int8), np.zeros((0, groups), np.float16))

    def _read_batch(self, texts: Sequence[str], ids: Mapping[str, list[int]]) -> list[Keys]:
        return [quantize(keys) for keys in self.reader.whole.read_keys([ids[text] for text in texts], self.groups)]

    def _make_index(self, rows: Sequence[Keys]) -> AttentionIndex:
        both = ((row.keys, row.scales) for row in (self._no_keys(), *rows))
        whole = Keys(*(np.concatenate(parts) for parts in zip(*both, strict=True)))
        return AttentionIndex(self, whole, np.array([len(row.keys) for row in rows], np.int32))


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of some tokens: int8 (tokens, groups, head dimension), and float16 scales (tokens, groups)."""

    keys: NDArray[np.int8]
    scales: NDArray[np.float16]


def _pack(keys: Keys) -> bytes:
    return save({"keys": keys.keys, "scales": keys.scales})


def _unpack(kept: bytes) -> Keys:
    tensors = load(kept)
    return Keys(tensors["keys"], tensors["scales"])


KEPT = Form("attention keys", _pack, _unpack)


def quantize(keys: NDArray[np.float32]) -> Keys:
    """Keys (tokens, groups, head dimension) in 8 bits, one scale a token and group."""
    scales = np.maximum(np.abs(keys).max(-1) / 127, SMALLEST).astype(np.float16)
    return Keys(np.clip((keys / scales[..., None]).round(), -127, 127).astype(np.int8), scales)


class AttentionIndex(Stored):
    """The keys of all texts one after the other; `lengths` int32 (texts) are their tokens."""

    def __init__(self, retriever: AttentionIndexer, keys: Keys, lengths: NDArray[np.int32]) -> None:
        self.retriever = retriever
        self.keys = keys
        self.lengths = lengths
        self.starts: list[int] = [0, *np.cumsum(lengths).tolist()]

    def attend(self, query: str, allowed: Allowed = None) -> QueryAttention:
        """Read a query once, and see what its tokens attend to in all texts, or in those allowed."""
        return QueryAttention(self, self.retriever.reader.read_queries(query, self.retriever.heads, FAR), allowed)

    def save(self, folder: Path) -> None:
        tensors: dict[str, NDArray[Any]] = {"keys": self.keys.keys, "scales": self.keys.scales, "lengths": self.lengths}
        save_file(tensors, folder / KEYS)

    def split(self) -> list[Keys]:
        """The keys of each text."""
        return [Keys(self.keys.keys[start:end], self.keys.scales[start:end]) for start, end in pairwise(self.starts)]


class QueryAttention:
    """The attention of one query: which texts it falls on, and which of their tokens."""

    def __init__(self, index: AttentionIndex, rows: NDArray[np.float32], allowed: Allowed = None) -> None:
        """Take the query's own rows: scaled queries (heads, query tokens, head dimension); the rest is as not there."""
        self.index = index
        self.rows = rows
        # logarithms of each text's share of the attention of each row: float32 (heads, query tokens, texts)
        self.masses = self._by_text(allowed)

    def best(self, k: int) -> list[Hit]:
        """The texts with the most attention a token; of each head its square root, so that none outvotes the others."""
        scores = self.by_head().sum(0)
        best = np.argsort(-scores, kind="stable")[:k].tolist()
        return [Hit(text, float(scores[text])) for text in best if scores[text] > 0]

    def by_head(self) -> NDArray[np.float32]:
        """The score of each text in each head, the square root of its attention a token: float32 (heads, texts)."""
        shares = np.exp(self.masses).sum(1) / np.maximum(self.index.lengths, 1).astype(np.float32)
        return np.asarray(np.sqrt(shares))

    def tokens(self, text: int) -> NDArray[np.float32]:
        """The attention on each token of a text: float32 (tokens)."""
        logits = self._logits(self.index.starts[text], self.index.starts[text + 1])
        shares = np.exp(_log_softmax(logits) + self.masses[..., text, None]).sum(1)
        return np.asarray(np.sqrt(shares).sum(0))

    def weigh(self, number: int, text: str, spans: Sequence[Span]) -> list[float]:
        """How much of the attention on a text, `text`, falls on each of its spans; length alone is no merit."""
        weights = self.tokens(number).tolist()
        places = self.index.retriever.reader.offsets(text)
        inside = [[w for (at, _), w in zip(places, weights, strict=True) if start <= at < end] for start, end in spans]
        return [sum(own) / max(1, len(own)) ** 0.5 for own in inside]

    def _by_text(self, allowed: Allowed) -> NDArray[np.float32]:
        """Logarithms of each text's share of the attention of each row: (heads, query tokens, texts)."""
        seen = self.index.lengths > 0 if allowed is None else allowed & (self.index.lengths > 0)
        logits = np.full((*self.rows.shape[:2], len(seen)), -np.inf, np.float32)
        if not seen.any():
            return logits
        for numbers in self._blocks(np.flatnonzero(self.index.lengths)):
            logits[..., numbers] = self._sums(numbers)
        logits[..., ~seen] = -np.inf
        return _log_softmax(logits)

    def _blocks(self, numbers: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Those texts, in their order, as they are looked at together: of `TOKENS_AT_ONCE` tokens or little more."""
        block = np.array(self.index.starts)[numbers] // TOKENS_AT_ONCE
        return np.split(numbers, np.flatnonzero(np.diff(block)) + 1)

    def _sums(self, numbers: NDArray[np.intp]) -> NDArray[np.float32]:
        """The logarithm of the summed exponents of the logits of texts in a row that have tokens."""
        starts = np.array(self.index.starts)[numbers]
        logits = self._logits(starts[0], self.index.starts[numbers[-1] + 1])
        most = logits.max(-1, keepdims=True)
        np.exp(np.subtract(logits, most, out=logits), out=logits)
        with np.errstate(divide="ignore"):  # of what is too little for a float, nothing
            return np.asarray(np.log(np.add.reduceat(logits, starts - starts[0], axis=-1)) + most)

    def _logits(self, start: int, end: int) -> NDArray[np.float32]:
        """Of the tokens from `start` to `end`: (heads, query tokens, tokens)."""
        kept, rows = self.index.keys, self.rows
        logits = np.empty((*rows.shape[:2], end - start), np.float32)
        for group, heads in enumerate(self.index.retriever.readers):
            keys = kept.keys[start:end, group].astype(np.float32)
            logits[heads] = (rows[heads] @ keys.T) * kept.scales[start:end, group].astype(np.float32)
        return logits


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the last dimension; some of it is finite, or there is none."""
    if not logits.size:
        return logits
    lower = logits - logits.max(-1, keepdims=True)
    return np.asarray(lower - np.log(np.exp(lower).sum(-1, keepdims=True)))


def _batches(ids: Sequence[Sequence[int]], numbers: Sequence[int]) -> list[list[int]]:
    """Those numbers of texts, of like length together, at most `TOKENS_AT_ONCE` tokens a batch."""
    batches: list[list[int]] = []
    for number in sorted(numbers, key=lambda number: len(ids[number])):
        if not batches or len(ids[number]) * (len(batches[-1]) + 1) > TOKENS_AT_ONCE:
            batches.append([])
        batches[-1].append(number)
    return batches
