"""What the rows of a decode batch continue, and how the model reads on from there: prompts, then a token a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from memorag_core.models.lm.attention import lower_right
from memorag_core.models.lm.graphs import StepShape
from memorag_core.models.lm.key_values import KeyValues
from memorag_core.models.lm.rope import BY_LENGTH
from memorag_core.models.lm.slots import SlotBuffers


@dataclass(eq=False)
class Prefix:
    """A memory that all rows read and nobody writes, or none, and the model that goes on behind it.

    The batch counts the tokens that each row has read; what entries of its slot they become is said here, an entry a
    token. Another kind of model is a subclass. What `step` does must read nothing back from the device.
    """

    model: PreTrainedModel
    memory: KeyValues | None = None
    captured: bool = True
    """Whether steps may be captured as graphs."""

    @property
    def alone(self) -> bool:
        """Whether rows change each other in a batch: rotary angles depend on the longest, and are read back for it."""
        rope = getattr(self.model.config, "rope_parameters", None) or {}
        return rope.get("rope_type") in BY_LENGTH

    def entries(self, tokens: int) -> int:
        """The entries of its own that a row has after so many tokens."""
        return tokens

    def most(self, tokens: int) -> int:
        """The most entries that it has at any time until then."""
        return tokens

    def end(self, start: int, most: int) -> int:
        """Where a pass ends that reads prompts from the token `start` on, and `most` of them at the most."""
        return start + most

    def shape(self, tokens: Sequence[int]) -> StepShape:
        """The shape of the step of rows that have read so many tokens each."""
        longest = max(tokens)
        return StepShape(len(tokens), longest + 1, full=longest == min(tokens))

    def folds(self, tokens: int) -> bool:
        """Whether entries of a row that has read so many tokens must be folded before it goes on."""
        return False

    def fold(self, buffers: SlotBuffers, slot: int, tokens: int) -> None:
        """Fold them; where this fails, nothing has changed."""

    def read(self, parts: Sequence[Sequence[int]], start: int, buffers: SlotBuffers, first: int) -> torch.Tensor:
        """Read parts of prompts, all from the token `start` on, into slots from `first` on.

        Returns:
            The logits (rows, vocabulary) that follow the last token of each part.
        """
        device, width = self.model.device, max(map(len, parts))
        here = start + (self.memory.next_position if self.memory else 0)
        ends = sorted({len(part) - 1 for part in parts})
        logits: torch.Tensor = self.model(
            input_ids=torch.tensor([fill_up(part, width) for part in parts], device=device),
            attention_mask=lower_right(device),
            position_ids=torch.arange(here, here + width, device=device)[None],
            past_key_values=buffers.for_prompts(first, len(parts), start),
            use_cache=True,
            logits_to_keep=torch.tensor(ends, device=device),
            memory=self.memory,
        ).logits
        return logits[list(range(len(parts))), [ends.index(len(part) - 1) for part in parts]]

    def step(self, shape: StepShape, last: torch.Tensor, read: torch.Tensor, buffers: SlotBuffers) -> torch.Tensor:
        """Pass the last token of each row, which has read so many before it; returns the logits (rows, vocabulary)."""
        logits: torch.Tensor = self.model(
            input_ids=last[:, None],
            attention_mask=None if shape.full else buffers.mask_step(shape, read),
            position_ids=(self.memory.next_position if self.memory else 0) + read[:, None],
            past_key_values=buffers.for_step(shape, read),
            use_cache=True,
            logits_to_keep=1,
            memory=self.memory,
        ).logits[:, -1]
        return logits


def fill_up(part: Sequence[int], width: int) -> list[int]:
    """Ids filled up on the right, where nothing sees them."""
    return [*part, *[0] * (width - len(part))]
