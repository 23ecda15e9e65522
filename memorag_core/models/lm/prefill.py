"""Text read into a key-value state segment by segment; what is finished is compressed, and its memory freed.

Every token attends to the compressed past and to its own segment so far. Of a finished segment each key-value head
keeps its own choice of entries, gathered and moved together, so that positions count entries of a head on average and
not tokens, and never leave the model's window. The unfinished segment stays whole: reading more later goes on exactly
as if it had come at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.models.lm.attention import Attention, BufferCache, lower_right
from memorag_core.models.lm.key_values import KeyValues, RaggedKeyValues
from memorag_core.models.lm.kv_budgets import SINK, choose_best, keep_chosen
from memorag_core.models.lm.kv_compression import EXPECTED_ATTENTION, Scorer, Segment
from memorag_core.models.lm.rope import rotation
from memorag_core.types import OnStep

STEP = 1024
HINT = 8
OnBorder = Callable[[int, KeyValues], None]
"""Called with how many tokens are read, and a view of their state."""


def ignore_border(_: int, __: KeyValues) -> None:
    """The `OnBorder` of a caller that wants the state of all tokens only."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What tells a model to repeat a text: ids before and behind the few that stand before what it is to say."""

    lead: Sequence[int]
    tail: Sequence[int]

    def __len__(self) -> int:
        return len(self.lead) + HINT + len(self.tail)


@dataclass(frozen=True, slots=True)
class PrefillPlan:
    """How a text is read: of every finished `segment`, one of `ratio` entries is kept, chosen by `scorer`.

    Segment and ratio are powers of two; a ratio of 1 keeps all. `replay` is for a scorer that replays. `sparse`
    attends in place of the model's own attention, and reads the whole text in one pass.
    """

    segment: int = 4 * STEP
    ratio: int = 1
    scorer: Scorer = EXPECTED_ATTENTION
    replay: Replay | None = None
    sparse: Attention | None = None

    def repeated(self, ids: Sequence[int], at: int) -> list[int]:
        """The ids that have the model repeat the next few of `ids` from `at` on."""
        assert self.replay
        hint = ids[max(0, at - HINT) : at]
        return [*self.replay.lead, *hint, *self.replay.tail, *ids[at : at + self.step]]

    def room(self, tokens: int) -> int:
        """The most tokens behind what is finished, while so many are read."""
        if self.ratio == 1:
            return tokens
        replayed = self.step + len(self.replay) if self.replay else 0
        return self.segment + replayed if tokens >= self.segment else tokens

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
        """The most entries there are at any time until `read` tokens are read, replays aside."""
        closing = read - read % self.segment
        return max(self.entries(read), self.entries(closing - self.segment) + self.segment if closing else 0)

    def farthest(self, read: int) -> int:
        """The most entries there are at any time, replays among them."""
        if self.ratio == 1:
            return read
        closing = read - read % self.segment
        return max(self.most(read), self.entries(closing - self.segment) + self.room(closing) if closing else 0)

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
    start = at = after.read if after else 0
    reading = _Reading(model, how, len(ids), after)
    while at < len(ids):
        raise_if_cancelled()
        end = how.pass_end(at, len(ids))
        closes = how.ratio > 1 and end % how.segment == 0
        watched = _Watched() if closes and not how.replay else None
        reading.forward(ids[at:end], watched)
        if closes:
            reading.close([watched] if watched else reading.replay(ids[:end]))
        if closes or how.ratio == 1:
            on_border(end, reading.view())
        on_step(end - start, len(ids) - start)
        at = end
    return reading.state()


@dataclass(frozen=True, slots=True)
class _Watched:
    """What was looked for in each layer, as `attend` leaves it."""

    queries: list[torch.Tensor] = field(default_factory=list)
    totals: list[torch.Tensor] = field(default_factory=list)


class _Reading:
    """What is read so far: `finished`, which is compressed and no longer changes, and behind it a cache."""

    def __init__(self, model: Any, how: PrefillPlan, tokens: int, after: PrefillState | None) -> None:
        self.model, self.how = model, how
        self.finished: KeyValues | None = None
        self.cache = BufferCache(model.config.num_hidden_layers, how.room(tokens))
        if after:
            state = after.state.first(how.entries(after.read))
            closed = how.entries(how.finished(after.read)) if how.ratio > 1 else 0
            self.finished = state.first(closed) if closed else None
            rest = state.after(closed)
            if rest.tokens:
                self.cache.begin(rest.even if isinstance(rest, RaggedKeyValues) else rest)

    @property
    def position(self) -> int:
        """That of the next token."""
        return self.cache.get_seq_length() + (self.finished.next_position if self.finished else 0)

    def forward(self, ids: Sequence[int], watched: _Watched | None = None) -> None:
        """Read on."""
        device, start = self.model.device, self.position
        self.model(
            torch.tensor([ids], device=device),
            attention_mask=lower_right(device) if self.finished else None,
            position_ids=torch.arange(start, start + len(ids), device=device)[None],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
            memory=self.finished,
            queries=watched.queries if watched else None,
            totals=watched.totals if watched else None,
            sparse=self.how.sparse,
        )

    def replay(self, ids: Sequence[int]) -> Iterator[_Watched]:
        """Have the model repeat the segment that stands last, part after part, and forget each part again."""
        for at in range(len(ids) - self.how.segment, len(ids), self.how.step):
            raise_if_cancelled()
            watched = _Watched()
            self.forward(self.how.repeated(ids, at), watched)
            self.cache.crop(self.how.segment)
            yield watched

    def close(self, looks: Iterable[_Watched]) -> None:
        """Keep the best entries of the segment, as those score that looked."""
        start, budget = self.position - self.how.segment, self.how.segment // self.how.ratio
        segment, turns = self.cache.view(self.position), partial(rotation, self.model)
        scores: torch.Tensor | None = None
        for watched in looks:
            layers = zip(segment.keys, segment.values, watched.queries, watched.totals, strict=True)
            parts = (Segment(k[0], v[0], queries[0], totals[0], start, turns) for k, v, queries, totals in layers)
            found = torch.stack([self.how.scorer.score(part) for part in parts])
            scores = found if scores is None else torch.maximum(scores, found)
        assert scores is not None
        if start == 0:
            # models attend to the first tokens of a text whatever they say (attention sinks)
            scores[..., : min(SINK, budget)] = torch.inf
        kept = keep_chosen(segment, choose_best(scores, budget, self.how.scorer.by_head), budget, turns)
        self.finished = self.finished.join(kept) if self.finished else kept
        self.cache.crop(0)

    def view(self) -> KeyValues:
        """What is here now, as long as nothing more is read."""
        return self.finished or self.cache.view(self.position)

    def state(self) -> KeyValues:
        """What is left when all is read."""
        if not self.finished:
            return self.cache.key_values(self.position)
        unfinished = self.cache.get_seq_length()
        return self.finished.join(self.cache.view(self.position)) if unfinished else self.finished
