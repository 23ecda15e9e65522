"""Latent memory: a trained encoder makes one embedding of a few tokens, and an ordinary decoder reads these.

The latent context models (LCLM) of Li et al., arXiv 2606.09659. Windows of the text are encoded each on its own, many
at a time; the memory is the decoder's key-value state over their latents, which ordinary prompts continue. Every
latent knows which characters it stands for, so that what a question attends to can be opened to the letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import product, takewhile
from typing import Any, Self

from memorag_core.concurrency.progress import ProgressScope
from memorag_core.config import Head, Profile
from memorag_core.errors import InputError, ModelUnavailable
from memorag_core.memory.base import KeyValueMemory, Memory
from memorag_core.memory.state_journal import StateJournal
from memorag_core.models.latent.checkpoint import LatentCheckpoint
from memorag_core.models.latent.encoder import LatentEncoder
from memorag_core.models.latent.reading import LatentReader
from memorag_core.models.latent.text import LatentText
from memorag_core.models.lm.attention_heads import compare_attention
from memorag_core.models.lm.head_layout import check_heads
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.models.lm.prefill import PrefillState
from memorag_core.models.weights import Weights
from memorag_core.types import PARAGRAPH_BREAK, Attended, Document

BEGIN, END = "<|memory_start|>", "<|memory_end|>"
FOR_QUESTIONS = 1024
NOTHING = "N/A"
"""A question about nothing, by which others are measured."""


class LatentMemory(KeyValueMemory):
    """One entry for every `ratio` tokens of a document, and a few of the decoder's own around it."""

    kind = "latent"
    attends = True

    def __init__(self, lm: LanguageModel, encoder: LatentEncoder, heads: Sequence[Head] = ()) -> None:
        """Take the decoder and the encoder of one checkpoint, and the decoder's heads that retrieve, if they are known.

        Raises:
            InputError: it has no such heads.
            ModelUnavailable: it cannot read what the encoder makes.
        """
        super().__init__(lm)
        config = lm.model.config
        check_heads(config, heads, lm.model_id)
        every = product(range(config.num_hidden_layers), range(config.num_attention_heads))
        self.heads = tuple(heads) or tuple(every)
        self.encoder = encoder
        self._check_fit()

    @classmethod
    def open(cls, profile: Profile, weights: Weights) -> Self:
        checkpoint = LatentCheckpoint.find(weights.source(profile.memory_model))
        lm = weights.language_model(profile.memory_model)
        return cls(lm, LatentEncoder.load(checkpoint, weights.device), profile.heads)

    def settings(self) -> dict[str, Any]:
        return {"ratio": self.encoder.ratio, "window": self.encoder.window}

    def memorize(self, documents: Sequence[Document], progress: ProgressScope) -> Memory:
        return self._read(self.lay_out(documents), progress)

    def update(
        self, memory: Memory, old: Sequence[Document], new: Sequence[Document], progress: ProgressScope
    ) -> Memory:
        """The memory of `new`: what lies behind its common beginning with `old` is read, and nothing else."""
        text = self.lay_out(new)
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(self.lay_out(old).ids, text.ids, strict=False))
        return self._read(text, progress, PrefillState(memory.state, sum(1 for _ in alike)))

    def attend(self, memory: Memory, question: str) -> Sequence[Attended]:
        """Read the question over the memory; nothing is decoded. All heads count where none are known to retrieve."""
        first, between, _ = self._marks
        entries, at = list[int](), len(first)
        for starts in memory.notes["starts"]:
            entries += range(at, at + len(starts))
            at += len(starts) + len(between)
        asked, nothing = self.lm.encode([PARAGRAPH_BREAK + question, PARAGRAPH_BREAK + NOTHING])
        compared = compare_attention(self.lm.model, asked, nothing, memory.state, entries, self.heads)
        weights = iter(compared.tolist())
        return [Attended(starts, [next(weights) for _ in starts]) for starts in memory.notes["starts"]]

    def _read(self, text: LatentText, progress: ProgressScope, after: PrefillState | None = None) -> Memory:
        """The memory of all of `text`, behind what was read of it; what is finished is kept in the journal."""
        kept = StateJournal(progress.journal, text.ids, self.lm.model.device)
        begun = after.read if after else 0
        further = kept.resume(begun, begun, after.state if after else None)
        reader = LatentReader(self.lm.model, self.encoder)
        state = reader.read(text, progress.step, further or after, kept.keep)
        return Memory.of(state, {"read": text.read, "ratio": text.ratio, "starts": text.starts})

    def lay_out(self, documents: Sequence[Document]) -> LatentText:
        """The entries of documents, each between marks of its own, so that one appended changes none before it."""
        first, between, last = self._marks
        text = LatentText(self.encoder.ratio)
        for number, document in enumerate(documents):
            text.ids += between if number else first
            text.add(document.text, self.encoder)
        text.ids += last
        self._check_length(text)
        return text

    @cached_property
    def _marks(self) -> list[list[int]]:
        """The decoder's own tokens before the first document, between two, and behind the last."""
        return self.lm.encode([self.lm.chat_head + BEGIN, END + PARAGRAPH_BREAK + BEGIN, END])

    def _check_length(self, text: LatentText) -> None:
        room = self.lm.window - min(FOR_QUESTIONS, self.lm.window // 4)
        if len(text.ids) > room:
            raise InputError(
                f"The text has {text.read:,} tokens, of which {text.ratio} to 1 make {len(text.ids):,} entries; "
                f"{self.lm.model_id} has room for {room:,}. Memorize less of it, or choose a checkpoint that "
                "compresses more (--memory-model)."
            )

    def _check_fit(self) -> None:
        width, made = self.lm.model.config.hidden_size, self.encoder.adapter.outer
        unknown = [mark for mark in (BEGIN, END) if len(self.lm.encode([mark])[0]) != 1]
        if width != made:
            raise ModelUnavailable(
                f"The adapter of {self.lm.model_id} makes latents of {made} numbers, its decoder reads embeddings of "
                f"{width}: they are of different checkpoints."
            )
        if unknown:
            raise ModelUnavailable(
                f"The decoder's tokenizer of {self.lm.model_id} has no token {' and '.join(unknown)}. Give the "
                "tokenizer that was published with it, in decoder/."
            )
