"""Text read into a key-value state segment by segment; what is finished is compressed, and its memory freed.

Every token attends to the compressed past and to its own segment so far. Of a finished segment each key-value head
keeps the same number of entries, its own choice of them, gathered and moved together, so that positions count
entries and not tokens and never leave the model's window. The unfinished segment stays whole: reading more later
goes on exactly as if it had come at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.models.lm.attention import Attention, BufferCache, KeyValues
from memorag_core.models.lm.kv_compression import Scorer, Segment, expected_attention
from memorag_core.models.lm.rope import rotate, rotation
from memorag_core.types import OnStep

STEP = 1024
SINK = 4
OnBorder = Callable[[int, KeyValues], None]
"""Called with how many tokens are read, and a view of their state."""


def ignore_border(_: int, __: KeyValues) -> None:
    """The `OnBorder` of a caller that wants the state of all tokens only."""


@dataclass(frozen=True, slots=True)
class PrefillPlan:
    """How a text is read: of every finished `segment`, one of `ratio` entries is kept, chosen by `score`.

    Segment and ratio are powers of two; a ratio of 1 keeps all. `sparse` attends in place of the model's own
    attention, and reads the whole text in one pass.
    """

    segment: int = 4 * STEP
    ratio: int = 1
    score: Scorer = expected_attention
    sparse: Attention | None = None

    def pass_end(self, at: int, tokens: int) -> int:
        """Where the pass ends that begins at token `at` of so many; at fixed places, so that a pass repeated gives
        the same to the bit."""
        return tokens if self.sparse else min(tokens, at + self.step - at % self.step)

    @property
    def step(self) -> int:
        """The most tokens of one pass through the model."""
        return max(1, min(STEP, self.segment // 4))

    def entries(self, read: int) -> int:
        """Entries after `read` tokens."""
        return read // self.segment * (self.segment // self.ratio) + read % self.segment

    def most(self, read: int) -> int:
        """The most entries there are at any time until `read` tokens are read."""
        closing = read - read % self.segment
        return max(self.entries(read), self.entries(closing - self.segment) + self.segment if closing else 0)

    def resume(self, known: int, read: int) -> int:
        """Where to go on reading, in a state after `read` tokens of which the first `known` stay.

        Without compression exactly there. Otherwise at the last pass before it in the unfinished segment, because a
        choice of entries can turn on the last bit; or where its segment began, if that is compressed already.
        """
        if self.ratio == 1:
            return known
        unfinished = read - read % self.segment
        return known - known % (self.step if known >= unfinished else self.segment)

    def finished(self, read: int) -> int:
        """How many of the tokens read stand for entries that no longer change."""
        return read if self.ratio == 1 else read - read % self.segment


@dataclass(frozen=True, slots=True)
class PrefillState:
    """Where to resume prefill: `state` covers the first `read` of `ids`."""

    state: KeyValues
    read: int


@torch.inference_mode()
def read(
    model: Any,
    ids: Sequence[int],
    on_step: OnStep,
    how: PrefillPlan,
    after: PrefillState | None = None,
    on_border: OnBorder = ignore_border,
) -> KeyValues:
    """The state after all of `ids`, from nothing or from the state after the first of them, which is left as it was.

    `on_step` hears of (tokens done, tokens to do) after every pass; it may raise to stop. `on_border` hears of what is
    read and finished, and is not changed by what follows.
    """
    cache = BufferCache(model.config.num_hidden_layers, how.most(len(ids)))
    start = after.read if after else 0
    if after:
        cache.begin(after.state, how.entries(start))
    at = start
    while at < len(ids):
        raise_if_cancelled()
        end = how.pass_end(at, len(ids))
        closes = how.ratio > 1 and end % how.segment == 0
        queries: list[torch.Tensor] | None = [] if closes else None
        part = torch.tensor([ids[at:end]], device=model.device)
        model(part, past_key_values=cache, use_cache=True, logits_to_keep=1, queries=queries, sparse=how.sparse)
        if queries:
            _compress(model, cache, how, queries)
        if closes or how.ratio == 1:
            on_border(end, cache.view(how.entries(end)))
        on_step(end - start, len(ids) - start)
        at = end
    return cache.key_values(how.entries(len(ids)))


def _compress(model: Any, cache: BufferCache, how: PrefillPlan, queries: Sequence[torch.Tensor]) -> None:
    """Keep the best entries of the segment that stands last, in their order, where it began."""
    # The segment is the last `how.segment` entries of the cache. Every key-value head keeps its own best ones, so the
    # gathering is by head. They move to the front of the segment, in their order: a key that stood at place p and now
    # stands at i is rotated by i - p, as if it had been written there. The first tokens of a text stay in any case,
    # because models attend to them whatever they say (attention sinks).
    began = cache.get_seq_length() - how.segment
    kept = how.segment // how.ratio
    for layer, seen in zip(cache.buffers, queries, strict=True):
        keys, values = (part[0, :, began : began + how.segment] for part in (layer.keys, layer.values))
        scores = how.score(Segment(keys, values, seen[0], began, partial(rotation, model)))
        if began == 0:
            scores[:, : min(SINK, kept)] = torch.inf
        places = scores.topk(kept).indices.sort().values
        cos, sin = rotation(model, torch.arange(kept, device=places.device) - places)
        chosen = places[..., None].expand(-1, -1, keys.shape[-1])
        layer.put(began, rotate(keys.gather(1, chosen), cos, sin)[None], values.gather(1, chosen)[None])
