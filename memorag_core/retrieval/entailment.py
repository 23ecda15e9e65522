"""Whether a text entails a statement or contradicts it, by a model of natural language inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.concurrency.device_memory import in_halves
from memorag_core.errors import ModelUnavailable
from memorag_core.models.hub import loading
from memorag_core.retrieval.windows import count_tokens, windows

BATCH = 16
LONGEST = 512
STATEMENT_SHARE = 0.5


class Verdict(NamedTuple):
    """How likely a text entails a statement, and how likely it contradicts it, 0 to 1."""

    entails: float
    contradicts: float


class EntailmentModel:
    """Any model for sequence classification with a label `entailment`, from a folder or a hub id.

    Labels may stand in any order: the configuration names them. A model of two labels contradicts nothing.
    """

    def __init__(self, source: str | Path, device: str) -> None:
        """Load the model.

        Raises:
            ModelUnavailable: it cannot be had, or none of its labels is `entailment`.
        """
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        with loading(source):
            self.tokenizer: Any = AutoTokenizer.from_pretrained(source)
            self.model: Any = AutoModelForSequenceClassification.from_pretrained(source).to(device).eval()
        self.labels = {str(name).lower(): number for number, name in self.model.config.id2label.items()}
        if "entailment" not in self.labels:
            raise ModelUnavailable(
                f"The model '{source}' has the labels {', '.join(self.labels)} and cannot tell what a text entails. "
                "Choose a model of natural language inference, such as cross-encoder/nli-deberta-v3-small."
            )

    @property
    def max_tokens(self) -> int:
        """The longest text and statement, in tokens together, that are read at once."""
        special: int = self.tokenizer.num_special_tokens_to_add(pair=True)
        return min(int(self.tokenizer.model_max_length), LONGEST) - special

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special tokens."""
        return count_tokens(self.tokenizer, texts)

    def judge(self, text: str, statement: str) -> Verdict:
        """Judge a statement by a text; a longer one is read in windows, and the one that entails most decides."""
        said = windows(statement, int(self.max_tokens * STATEMENT_SHARE), self.count)[0]
        parts = windows(text, self.max_tokens - self.count([said])[0], self.count)
        pairs = [(part, said) for part in parts]
        verdicts = [
            verdict
            for at in range(0, len(pairs), BATCH)
            for verdict in in_halves(pairs[at : at + BATCH], self._judge_together)
        ]
        return max(verdicts)

    def _judge_together(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
        import torch

        raise_if_cancelled()
        texts, statements = map(list, zip(*pairs, strict=True))
        given = self.tokenizer(
            texts, statements, padding=True, truncation="only_first", max_length=LONGEST, return_tensors="pt"
        )
        with torch.inference_mode():
            logits = self.model(**given.to(self.model.device)).logits
        rows = logits.float().softmax(-1).tolist()
        entails, contradicts = self.labels["entailment"], self.labels.get("contradiction")
        return [Verdict(row[entails], 0.0 if contradicts is None else row[contradicts]) for row in rows]
