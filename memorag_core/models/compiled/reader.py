"""A reader of questions compiled from a language model: its tokenizer, and its weights as they lie on the disk.

What is written once is small: the tokenizer, the beginning of a user's turn, some numbers. The weights are those of the
model itself, mapped, so that only layers up to the last head that is asked for are ever read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from memorag_core.config import Head
from memorag_core.models.compiled.folders import FOLDER, TOKENIZER, compile_once, open_kept, open_tokenizer
from memorag_core.models.compiled.llama import EMBEDDINGS, HALVES, LAYER, LlamaLayers, name_of
from memorag_core.models.mapped import Tensors, map_tensors

if TYPE_CHECKING:
    from memorag_core.models.lm.language_model import LanguageModel

NOTES = "reader.json"
OF_TEXT = (TOKENIZER, "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
COMPILED = {"model_type": "llama", "hidden_act": "silu", "attention_bias": False, "mlp_bias": False}
"""What can be compiled: Llamas, whose layers are what `models.compiled.llama` computes."""
PLAIN_ROPE = {"default", "linear", "llama3"}
SIZES = ("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "rms_norm_eps")
OF_TODAY = "strftime_now"
"""In a chat template: turns begin with the date, which cannot be kept."""


def place_of(folder: Path, models_dir: Path, revision: str) -> Path:
    """Where the reader of a model's folder is kept, by all that decides it: weights, texts, and who reads these."""
    texts = [path.read_bytes() for name in OF_TEXT if (path := folder / name).is_file()]
    libraries = [version(name) for name in ("transformers", "tokenizers")]
    digest = hashlib.sha256(repr((revision, libraries)).encode() + b"\0".join(texts))
    return models_dir / FOLDER / digest.hexdigest()[:16]


def open_compiled(
    folder: Path, place: Path, model_id: str, revision: str, open_model: Callable[[], LanguageModel]
) -> CompiledReader | None:
    """The reader of a model's folder, compiled now if need be; None where it cannot be, and the model is open then."""
    try:
        tensors = _map_all(folder)

        def open_folder(place: Path) -> CompiledReader:
            return CompiledReader(place, tensors, model_id, revision, open_model)

        if kept := open_kept(place, open_folder):
            return kept
        notes = _describe(lm := open_model(), tensors)
        return open_folder(compile_once(place, lambda made: _write(made, lm, notes))) if notes else None
    except (OSError, ValueError, KeyError):  # a folder that cannot be written, or weights of another form
        return None


class CompiledReader:
    """A `QuestionReader` without torch."""

    def __init__(
        self, folder: Path, tensors: Tensors, model_id: str, revision: str, open_model: Callable[[], LanguageModel]
    ) -> None:
        """Load what `open_compiled` wrote of a model with those weights."""
        notes = json.loads((folder / NOTES).read_text(encoding="utf-8"))
        self.model_id, self.revision = model_id, revision
        self.config: Any = SimpleNamespace(**notes["config"])
        self.window: int = notes["window"]
        self._layers = LlamaLayers(tensors, self.config, notes["frequencies"], notes["beginning"])
        self._open_model = open_model
        self._tokenizer = open_tokenizer(folder)

    @property
    def whole(self) -> LanguageModel:
        """The language model, loaded now if need be."""
        return self._open_model()

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special tokens."""
        return [len(text.ids) for text in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Where each of its tokens stands in a text."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).offsets)

    def read_queries(self, text: str, heads: Sequence[Head], position: int) -> NDArray[np.float32]:
        """As `QuestionReader` says."""
        return self._layers.queries(self._tokenizer.encode(text, add_special_tokens=False).ids, heads, position)


def _map_all(folder: Path) -> Tensors:
    return {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in map_tensors(path).items()}


def _describe(lm: LanguageModel, tensors: Tensors) -> dict[str, Any] | None:
    """What is written beside the tokenizer; None for a model that is no plain Llama, or whose weights are elsewhere."""
    config, body = lm.config, lm.model.base_model
    if any(getattr(config, name, None) != value for name, value in COMPILED.items()) or hasattr(config, "beacon_base"):
        return None
    names = [EMBEDDINGS, *(name_of(layer, name) for layer in range(config.num_hidden_layers) for name in LAYER)]
    alike = all(name in tensors and tensors[name].dtype in (*HALVES, np.float32) for name in names)
    plain = config.rope_parameters["rope_type"] in PLAIN_ROPE and body.rotary_emb.attention_scaling == 1
    lasting = OF_TODAY not in (lm.tokenizer.chat_template or "") and getattr(lm.tokenizer, "is_fast", False)
    if not (alike and plain and lasting):
        return None
    return {
        "config": {name: getattr(config, name) for name in SIZES},
        "window": lm.window,
        "beginning": lm.encode([lm.chat_head])[0],
        "frequencies": body.rotary_emb.inv_freq.tolist(),
    }


def _write(made: Path, lm: LanguageModel, notes: dict[str, Any]) -> None:
    lm.tokenizer.backend_tokenizer.save(str(made / TOKENIZER))
    (made / NOTES).write_text(json.dumps(notes), encoding="utf-8")
