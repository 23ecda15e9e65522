"""Encoders compiled for a CPU by CTranslate2: vectors in half the time or less, and without torch.

Matrices are multiplied in int8: weights by row, states by token. The vectors are close to those of the model as shipped
(cosine .99) and find about as much (docs/log.md), so a context may hold both kinds. Questions are read in int8 too:
much of the error is the same in all vectors, and then changes no order.

Importing torch and transformers takes longer than embedding a question, or the files of a folder that have changed. An
encoder is compiled once, the first time that it is used; from then on neither is needed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.models import hub
from memorag_core.models.compiled.folders import FOLDER, TOKENIZER, compile_once, open_kept, open_tokenizer
from memorag_core.models.weights import digest_of
from memorag_core.retrieval.encoder_layout import Kind, PlainLayout
from memorag_core.retrieval.vectors import Vectors
from memorag_core.text.slices import batches

COMPILED = {"model_type": "bert", "hidden_act": "gelu"}
"""What can be compiled: BERT, of which most small embedders are made."""
COUNTED_AT_ONCE = 100_000
READ_AT_ONCE = 8
"""Texts; the states of more leave the caches of a core, which takes a tenth longer."""


def open_compiled(source: str | Path, layout: PlainLayout, kept: Path) -> CompiledEncoder | None:
    """The encoder as it is compiled in a folder of `kept`, compiled now if need be; None where it cannot be."""
    if not find_spec("ctranslate2") or not COMPILED.items() <= layout.config.items():
        return None
    if layout.config.get("position_embedding_type", "absolute") != "absolute":
        return None
    revision = digest_of(Path(source)) if Path(source).is_dir() else hub.commit(str(source))
    if not revision:
        return None
    place, open_folder = kept / FOLDER / revision, partial(CompiledEncoder, layout=layout)
    return open_kept(place, open_folder) or open_folder(compile_once(place, partial(_compile, source)))


def _compile(source: str | Path, made: Path) -> None:
    """Write weights and tokenizer of a BERT for CTranslate2."""
    import torch
    from ctranslate2.converters.transformers import BertLoader
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    model = AutoModel.from_pretrained(source, trust_remote_code=False)
    model.config.position_embedding_type = "absolute"  # which transformers no longer writes
    tokenizer = AutoTokenizer.from_pretrained(source)
    with torch.no_grad():
        compiled = BertLoader()(model, tokenizer)
        compiled.validate()
        compiled.optimize()
        compiled.save(str(made))
        tokenizer.backend_tokenizer.save(str(made / TOKENIZER))


class CompiledEncoder:
    """A transformer whose last states are pooled and normalized, on the CPU."""

    def __init__(self, folder: Path, layout: PlainLayout) -> None:
        """Load what `open_compiled` made of an encoder of that layout."""
        from ctranslate2 import Encoder

        self.prompts = layout.prompts
        self.max_tokens = layout.tokens
        self._pooling = layout.pooling
        self._encoder = Encoder(str(folder), device="cpu", compute_type="int8", intra_threads=_count_threads())
        self._whole, self._cut = open_tokenizer(folder), open_tokenizer(folder)
        self._cut.enable_truncation(self.max_tokens)
        self.special_tokens = self._whole.num_special_tokens_to_add(is_pair=False)

    def count(self, texts: Sequence[str]) -> list[int]:
        counts: list[int] = []
        for batch in batches(texts, COUNTED_AT_ONCE):
            raise_if_cancelled()
            counts += [len(text.ids) for text in self._whole.encode_batch_fast(batch, add_special_tokens=False)]
        return counts

    def encode(self, texts: Sequence[str], prompt: str, kind: Kind) -> Vectors:
        if not texts:
            return np.zeros((0, 1), np.float32)
        ids = [text.ids for text in self._cut.encode_batch_fast([prompt + text for text in texts])]
        pooled = np.concatenate([self._pool(ids[at : at + READ_AT_ONCE]) for at in range(0, len(ids), READ_AT_ONCE)])
        return np.asarray(pooled / np.linalg.norm(pooled, axis=1, keepdims=True), np.float32)

    def _pool(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """The vector (texts, width) of each text's tokens, of any length."""
        states = np.asarray(self._encoder.forward_batch(ids).last_hidden_state)
        return states[:, 0] if self._pooling == "cls" else _average(states, [len(own) for own in ids])


def _average(states: NDArray[np.float32], lengths: Sequence[int]) -> NDArray[np.float32]:
    """The mean of the states (texts, tokens, width) of each text, whose tokens come first."""
    return np.stack([rows[:length].mean(0) for rows, length in zip(states, lengths, strict=True)])


def _count_threads() -> int:
    """As many threads as torch would take: what the environment says, else one for each core."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    return int(named) if named.isdecimal() else psutil.cpu_count(logical=False) or 1
