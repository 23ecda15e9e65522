"""Encoders that torch runs, on any device: those of the common layout by transformers, all others by their library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from memorag_core.retrieval.encoder_layout import MOST, Kind, PlainLayout
from memorag_core.retrieval.vectors import Vectors
from memorag_core.retrieval.windows import count_tokens

FEWEST = 1e-9


class _Tokenizing:
    """What counts tokens as its model does."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.special_tokens: int = tokenizer.num_special_tokens_to_add()

    def count(self, texts: Sequence[str]) -> list[int]:
        return count_tokens(self.tokenizer, texts)


class PlainEncoder(_Tokenizing):
    """A transformer whose last states are pooled and normalized."""

    def __init__(self, source: str | Path, layout: PlainLayout, device: str) -> None:
        transformers_logging.disable_progress_bar()
        super().__init__(AutoTokenizer.from_pretrained(source))
        self.model = AutoModel.from_pretrained(source, trust_remote_code=False).eval().to(device)
        self.max_tokens = layout.tokens
        self.prompts = layout.prompts
        self._pooling = layout.pooling

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], prompt: str, kind: Kind) -> Vectors:
        given = self.tokenizer(
            [prompt + text for text in texts],
            padding=True,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        ).to(self.model.device)
        states = self.model(**given).last_hidden_state
        if self._pooling == "cls":
            pooled = states[:, 0]
        else:
            mask = given["attention_mask"][..., None].to(states.dtype)
            pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=FEWEST)
        unit: Vectors = torch.nn.functional.normalize(pooled, dim=1).float().cpu().numpy()
        return unit


class LibraryEncoder(_Tokenizing):
    """Any model of sentence-transformers."""

    def __init__(self, source: str | Path, device: str) -> None:
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(str(source), device=device)
        super().__init__(self.model.tokenizer)
        self.max_tokens = int(self.model.max_seq_length or MOST)
        self.prompts: dict[str, str | None] = dict(self.model.prompts)

    def encode(self, texts: Sequence[str], prompt: str, kind: Kind) -> Vectors:
        encode: Any = self.model.encode_query if kind == "query" else self.model.encode_document
        vectors = encode(list(texts), prompt=prompt, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)
