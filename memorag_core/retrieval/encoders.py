"""Encoders of texts as unit vectors: folders and hub ids in sentence-transformers' layout.

Most have a transformer, one pooling and normalization. These are run as they are, because the library takes as long to
import as all else together (its training and evaluation come with it; docs/log.md); all others are run by the library.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch

from memorag_core.models import hub
from memorag_core.retrieval.vectors import Vectors

Kind = Literal["query", "document"]
MODULES, TRANSFORMER, LIBRARY = "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"
KINDS = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
ORDINARY = {
    "do_lower_case": False,
    "transformer_task": "feature-extraction",
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
    "module_output_name": "token_embeddings",
}
"""What the common layout may say of the transformer: what is so in any case."""
POOLINGS = ("cls", "mean")
FLAGS = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
FEWEST = 1e-9
MOST = 512
"""Tokens that a model reads at once which does not say how many."""


class Encoder(Protocol):
    """What turns texts into vectors; its instructions before them, and the most tokens that it reads."""

    prompts: dict[str, str | None]
    tokenizer: Any
    max_tokens: int

    def encode(self, texts: Sequence[str], prompt: str, kind: Kind) -> Vectors:
        """Unit vectors (texts, dimension) of texts with the instruction before them."""


def open_encoder(source: str | Path, device: str) -> Encoder:
    """The encoder of a folder or hub id, run here where its layout is the common one."""
    layout = PlainLayout.read(source)
    return PlainEncoder(source, layout, device) if layout else LibraryEncoder(source, device)


@dataclass(frozen=True, slots=True)
class PlainLayout:
    """What the common layout says beside the transformer; where no `tokens` are named, the tokenizer knows."""

    pooling: str
    tokens: int | None
    prompts: dict[str, str | None]

    @classmethod
    def read(cls, source: str | Path) -> PlainLayout | None:
        """The layout of a model; None where it is another one, or asks for anything that is not done here."""
        modules, transformer, about = (_read(source, name) for name in (MODULES, TRANSFORMER, LIBRARY))
        kinds = [module["type"].rpartition(".")[2] for module in modules]
        if kinds not in KINDS or modules[0]["path"] or "auto_map" in _read(source, "config.json"):
            return None
        tokens = transformer.pop("max_seq_length", None)
        pooling = _find_pooling(_read(source, f"{modules[1]['path']}/config.json"))
        if pooling is None or not transformer.items() <= ORDINARY.items() or about.get("default_prompt_name"):
            return None
        return cls(pooling, tokens, about.get("prompts") or {})


class PlainEncoder:
    """A transformer whose last states are pooled and normalized."""

    def __init__(self, source: str | Path, layout: PlainLayout, device: str) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(source)
        self.model = AutoModel.from_pretrained(source, trust_remote_code=False).eval().to(device)
        self.max_tokens = layout.tokens or min(
            self.tokenizer.model_max_length, self.model.config.max_position_embeddings
        )
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


class LibraryEncoder:
    """Any model of sentence-transformers."""

    def __init__(self, source: str | Path, device: str) -> None:
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(str(source), device=device)
        self.tokenizer = self.model.tokenizer
        self.max_tokens = int(self.model.max_seq_length or MOST)
        self.prompts: dict[str, str | None] = dict(self.model.prompts)

    def encode(self, texts: Sequence[str], prompt: str, kind: Kind) -> Vectors:
        encode: Any = self.model.encode_query if kind == "query" else self.model.encode_document
        vectors = encode(list(texts), prompt=prompt, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)


def _find_pooling(config: Mapping[str, Any]) -> str | None:
    """The one way of pooling; None where there are several, or one that is not done here."""
    if not config.get("include_prompt", True):
        return None
    on = [name for name, value in config.items() if name.startswith("pooling_mode_") and value]
    named = [config["pooling_mode"]] if "pooling_mode" in config else [FLAGS.get(name, name) for name in on]
    return named[0] if len(named) == 1 and named[0] in POOLINGS else None


def _read(source: str | Path, name: str) -> Any:
    """A JSON file of a model; an empty object where it cannot be had, of which the library will tell."""
    try:
        path = hub.find_file(source, name)
        return json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError):
        return {}
