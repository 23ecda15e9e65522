"""What encoders of texts do, and the layout in which most of them are published: sentence-transformers' common one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

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
MOST = 512
"""Tokens that a transformer reads at once which does not say how many."""
POOLINGS = ("cls", "mean")
FLAGS = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}


class Encoder(Protocol):
    """What turns texts into vectors; its instructions before them, and the most tokens that it reads."""

    prompts: dict[str, str | None]
    max_tokens: int
    special_tokens: int

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special tokens."""

    def encode(self, texts: Sequence[str], prompt: str, kind: Kind) -> Vectors:
        """Unit vectors (texts, dimension) of texts with the instruction before them."""


@dataclass(frozen=True, slots=True)
class PlainLayout:
    """What the common layout says: the transformer's configuration, how its states are pooled, the most tokens read."""

    config: dict[str, Any]
    pooling: str
    tokens: int
    prompts: dict[str, str | None]

    @classmethod
    def read(cls, source: str | Path) -> PlainLayout | None:
        """The layout of a model; None where it is another one, or asks for anything that is not done here."""
        modules, transformer, about = (_read(source, name) for name in (MODULES, TRANSFORMER, LIBRARY))
        config = _read(source, "config.json")
        kinds = [module["type"].rpartition(".")[2] for module in modules]
        if kinds not in KINDS or modules[0]["path"] or "auto_map" in config:
            return None
        tokens = transformer.pop("max_seq_length", None)
        pooling = _find_pooling(_read(source, f"{modules[1]['path']}/config.json"))
        if pooling is None or not transformer.items() <= ORDINARY.items() or about.get("default_prompt_name"):
            return None
        return cls(config, pooling, tokens or _window(source, config), about.get("prompts") or {})


def _window(source: str | Path, config: Mapping[str, Any]) -> int:
    """The most tokens that tokenizer and transformer take."""
    positions = int(config.get("max_position_embeddings", MOST))
    return int(min(positions, _read(source, "tokenizer_config.json").get("model_max_length", positions)))


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
