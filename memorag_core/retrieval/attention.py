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
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, load_file, save, save_file

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.concurrency.journal import Form
from memorag_core.concurrency.progress import ProgressScope
from memorag_core.config import Head
from memorag_core.models.lm.attention import head_width
from memorag_core.models.lm.attention_heads import check_heads, head_keys, head_queries
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.retrieval.base import Allowed, Hit, Indexer, Stored, encode_missing
from memorag_core.text.chunking import Span

KEYS = "attention.safetensors"
TOKENS_AT_ONCE = 1 << 12
FAR = 200
"""Rotary position given to the question's first token, the same for every passage."""


class AttentionIndexer(Indexer["AttentionIndex"]):
    """An indexer of texts by the attention that a query's tokens pay to theirs, in the retrieval heads."""

    def __init__(self, lm: LanguageModel, heads: Sequence[Head]) -> None:
        """Take a model and its (layer, head) pairs, as `memorag heads` finds them."""
        check_heads(lm, heads)
        self.lm = lm
        self.heads = tuple(heads)
        self.model_id = lm.model_id
        self.revision = lm.revision

    @cached_property
    def groups(self) -> list[Head]:
        """The (layer, key-value head) pairs that the heads read."""
        return sorted({self.group_of(head) for head in self.heads})

    def group_of(self, head: Head) -> Head:
        """The (layer, key-value head) pair that a head reads."""
        config, (layer, number) = self.lm.model.config, head
        return layer, number * config.num_key_value_heads // config.num_attention_heads

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
        return AttentionIndex(self, index.keys, torch.zeros(texts, dtype=torch.int32))

    def settings(self) -> dict[str, Any]:
        return {"heads": [list(head) for head in self.heads]}

    def _read_keys(self, texts: Sequence[str], progress: ProgressScope) -> list[Keys]:
        """The keys of each text, those of like length read together; none of a text that the model cannot read."""
        ids = self.lm.encode(texts) if texts else []
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
        groups, width = len(self.groups), head_width(self.lm.model.config)
        return Keys(torch.zeros(0, groups, width, dtype=torch.int8), torch.zeros(0, groups, dtype=torch.float16))

    def _read_batch(self, texts: Sequence[str], ids: Mapping[str, list[int]]) -> list[Keys]:
        return [quantize(keys) for keys in head_keys(self.lm, [ids[text] for text in texts], self.groups)]

    def _make_index(self, rows: Sequence[Keys]) -> AttentionIndex:
        both = ((row.keys, row.scales) for row in (self._no_keys(), *rows))
        whole = Keys(*(torch.cat(parts) for parts in zip(*both, strict=True)))
        return AttentionIndex(self, whole, torch.tensor([len(row.keys) for row in rows], dtype=torch.int32))


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of some tokens: int8 (tokens, groups, head dimension), and float16 scales (tokens, groups)."""

    keys: torch.Tensor
    scales: torch.Tensor


def _pack(keys: Keys) -> bytes:
    return save({"keys": keys.keys, "scales": keys.scales})


def _unpack(kept: bytes) -> Keys:
    tensors = load(kept)
    return Keys(tensors["keys"], tensors["scales"])


KEPT = Form("attention keys", _pack, _unpack)


def quantize(keys: torch.Tensor) -> Keys:
    """Keys (tokens, groups, head dimension) in 8 bits, one scale a token and group."""
    scales = (keys.abs().amax(-1) / 127).clamp_min(1e-6).to(torch.float16)
    return Keys((keys / scales[..., None]).round().clamp(-127, 127).to(torch.int8).cpu(), scales.cpu())


class AttentionIndex(Stored):
    """The keys of all texts one after the other; `lengths` int32 (texts) are their tokens."""

    def __init__(self, retriever: AttentionIndexer, keys: Keys, lengths: torch.Tensor) -> None:
        self.retriever = retriever
        self.keys = keys
        self.lengths = lengths
        self.starts = [0, *torch.cumsum(lengths, 0).tolist()]

    def attend(self, query: str, allowed: Allowed = None) -> QueryAttention:
        """Read a query once, and see what its tokens attend to in all texts, or in those allowed."""
        rows = head_queries(self.retriever.lm, query, self.retriever.heads, FAR)
        return QueryAttention(self, rows, allowed)

    def save(self, folder: Path) -> None:
        tensors = {"keys": self.keys.keys, "scales": self.keys.scales, "lengths": self.lengths}
        save_file(tensors, folder / KEYS)

    def split(self) -> list[Keys]:
        """The keys of each text."""
        sizes = self.lengths.tolist()
        return [Keys(*both) for both in zip(self.keys.keys.split(sizes), self.keys.scales.split(sizes), strict=True)]


class QueryAttention:
    """The attention of one query: which texts it falls on, and which of their tokens."""

    def __init__(self, index: AttentionIndex, rows: torch.Tensor, allowed: Allowed = None) -> None:
        """Take the query's own rows: scaled queries (heads, query tokens, head dimension); the rest is as not there."""
        self.index = index
        self.rows = rows
        self.hidden = None if allowed is None else torch.from_numpy(~allowed).to(rows.device)
        # logarithms of each text's share of the attention of each row: float32 (heads, query tokens, texts)
        self.masses = self._by_text()

    def best(self, k: int) -> list[Hit]:
        """The texts with the most attention a token; of each head its square root, so that none outvotes the others."""
        scores = self.by_length()
        top = scores.topk(min(k, len(scores)))
        best = zip(top.values.tolist(), top.indices.tolist(), strict=True)
        return [Hit(text, score) for score, text in best if score > 0]

    def by_length(self) -> torch.Tensor:
        """The score of each text by which `best` ranks them: float32 (texts), on the model's device."""
        lengths = self.index.lengths.clamp_min(1).to(self.masses.device)
        return (self.masses.exp().sum(1) / lengths).sqrt().sum(0)

    def tokens(self, text: int) -> torch.Tensor:
        """The attention on each token of a text: float32 (tokens)."""
        logits = self._logits(self.index.starts[text], self.index.starts[text + 1])
        shares = (logits - logits.logsumexp(-1, keepdim=True)).exp()
        return (shares * self.masses[..., text, None].exp()).sum(1).sqrt().sum(0)

    def weigh(self, number: int, text: str, spans: Sequence[Span]) -> list[float]:
        """How much of the attention on a text, `text`, falls on each of its spans; length alone is no merit."""
        weights = self.tokens(number).tolist()
        places = self.index.retriever.lm.offsets(text)
        inside = [[w for (at, _), w in zip(places, weights, strict=True) if start <= at < end] for start, end in spans]
        return [sum(own) / max(1, len(own)) ** 0.5 for own in inside]

    def _by_text(self) -> torch.Tensor:
        """Logarithms of each text's share of the attention of each row: (heads, query tokens, texts)."""
        sums = []
        starts, end = self.index.starts, 0
        if not starts[-1]:
            return self.rows.new_full((*self.rows.shape[:2], len(starts) - 1), float("-inf"))
        while end < len(starts) - 1:
            first, end = end, self._reach(end)
            sums.append(self._sums(first, end))
        logits = torch.cat(sums, -1)
        return (logits if self.hidden is None else logits.masked_fill(self.hidden, float("-inf"))).log_softmax(-1)

    def _reach(self, first: int) -> int:
        """The end of the texts that are looked at together, from `first` on; at least one."""
        starts, last = self.index.starts, len(self.index.starts) - 1
        end = first + 1
        while end < last and starts[end + 1] - starts[first] <= TOKENS_AT_ONCE:
            end += 1
        return end

    def _sums(self, first: int, end: int) -> torch.Tensor:
        """The logarithm of the summed exponents of the logits of each text: (heads, query tokens, texts)."""
        starts = self.index.starts
        logits = self._logits(starts[first], starts[end])
        if not logits.shape[-1]:
            return logits.new_full((*logits.shape[:2], end - first), float("-inf"))
        most = logits.amax(-1, keepdim=True)
        summed = torch.nn.functional.pad((logits - most).exp_().cumsum(-1), (1, 0))
        at_starts = summed[..., [starts[text] - starts[first] for text in range(first, end + 1)]]
        return at_starts.diff().clamp_min(0.0).log() + most

    def _logits(self, start: int, end: int) -> torch.Tensor:
        """Of the tokens from `start` to `end`: (heads, query tokens, tokens)."""
        retriever, device = self.index.retriever, self.rows.device
        keys = self.index.keys.keys[start:end].to(device, self.rows.dtype)
        scales = self.index.keys.scales[start:end].to(device, self.rows.dtype)
        places = [retriever.groups.index(retriever.group_of(head)) for head in retriever.heads]
        return torch.stack([row @ keys[:, at].T * scales[:, at] for row, at in zip(self.rows, places, strict=True)])


def _batches(ids: Sequence[Sequence[int]], numbers: Sequence[int]) -> list[list[int]]:
    """Those numbers of texts, of like length together, at most `TOKENS_AT_ONCE` tokens a batch."""
    batches: list[list[int]] = []
    for number in sorted(numbers, key=lambda number: len(ids[number])):
        if not batches or len(ids[number]) * (len(batches[-1]) + 1) > TOKENS_AT_ONCE:
            batches.append([])
        batches[-1].append(number)
    return batches
