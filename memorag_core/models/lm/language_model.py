"""A causal language model of transformers with its tokenizer: counted, prefilled, and decoded over a memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from memorag_core.config import Head, Precision
from memorag_core.errors import InputError, ModelUnavailable, require
from memorag_core.models import hub
from memorag_core.models.hub import loading
from memorag_core.models.lm.architecture import check_attention, check_layers, take_text_part
from memorag_core.models.lm.attention import register
from memorag_core.models.lm.attention_heads import head_keys, head_queries
from memorag_core.models.lm.decode_batch import DecodeRow
from memorag_core.models.lm.decoding import decode
from memorag_core.models.lm.fp16_linear import pack
from memorag_core.models.lm.key_values import KeyValues
from memorag_core.models.lm.norms import fuse_norms
from memorag_core.models.lm.prefill import PrefillPlan, read
from memorag_core.models.lm.prefix import Prefix
from memorag_core.models.lm.scheduler import DecodeScheduler
from memorag_core.models.lm.verbatim import VerbatimText
from memorag_core.models.streaming import StreamedText
from memorag_core.types import PARAGRAPH_BREAK, OnStep, OnText

MARK = "\u241e"
NO_THOUGHT = {"enable_thinking": False, "thinking": False}
"""What chat templates call it, that a reply begins at once; templates that do not think ignore it."""


class LanguageModel:
    """Weights, tokenizer and chat template of one model. Thread-safe to read, one call at a time."""

    def __init__(self, model: PreTrainedModel, tokenizer: Any, model_id: str, revision: str) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.model_id = model_id
        self.revision = revision
        self.chat_head, self.chat_tail = self._split_chat_template()
        self.stop = self._stop_ids()
        self.scheduler = DecodeScheduler(self.stop)

    @classmethod
    def load(
        cls,
        source: str | Path,
        device: str,
        model_id: str | None = None,
        weights: Precision = "full",
        find: Callable[[str], str | Path] = str,
    ) -> LanguageModel:
        """Load a folder or a hub id; arguments and errors are those of `load_model`."""
        model = take_text_part(load_model(source, device, weights, find))
        check_attention(model, source)
        with loading(source):
            tokenizer = AutoTokenizer.from_pretrained(source)
        return cls(model, tokenizer, model_id or str(source), hub.commit(str(source)))

    @property
    def config(self) -> Any:
        """The model's configuration."""
        return self.model.config

    @property
    def whole(self) -> LanguageModel:
        """This one, as a `QuestionReader` from which all else can be had."""
        return self

    @property
    def window(self) -> int:
        """The longest sequence of which some layer sees all, in tokens."""
        config = self.model.config
        slides = "full_attention" not in (getattr(config, "layer_types", None) or ())
        sliding = (slides and getattr(config, "sliding_window", None)) or torch.inf
        return int(min(config.max_position_embeddings, sliding))

    @property
    def precision(self) -> str:
        """What the weights are kept in: a dtype, or `4bit`."""
        four = getattr(self.model, "is_loaded_in_4bit", False)
        return "4bit" if four else str(self.model.dtype).removeprefix("torch.")

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special tokens."""
        return [len(ids) for ids in self.encode(texts)] if texts else []

    def generate(
        self,
        instructions: Sequence[str],
        max_new_tokens: int,
        memory: KeyValues | None = None,
        repetition_penalty: float = 1.0,
        on_forward: Callable[[], None] = lambda: None,
    ) -> list[str]:
        """Reply to every instruction, in a batch of their own; each alone, or over `memory` without changing it."""
        lead = PARAGRAPH_BREAK if memory else self.chat_head
        prompts = self.encode([lead + instruction + self.chat_tail for instruction in instructions])
        prefix = Prefix(self.model, memory)
        replies = decode(prefix, prompts, max_new_tokens, self.stop, repetition_penalty, on_forward)
        return self.texts(replies)

    def ask(
        self,
        instructions: Sequence[str],
        max_new_tokens: int,
        prefix: Prefix,
        repetition_penalty: float = 1.0,
        verbatim: VerbatimText | None = None,
    ) -> list[str]:
        """Reply to every instruction over what `prefix` remembers, together with what other threads ask for.

        Where `verbatim` is given, the first reply is held to it.
        """
        prompts = self.encode([PARAGRAPH_BREAK + instruction + self.chat_tail for instruction in instructions])
        rows = [
            DecodeRow(prompt, max_new_tokens, repetition_penalty, held=verbatim is not None and number == 0)
            for number, prompt in enumerate(prompts)
        ]
        return self.texts(self.scheduler.decode(rows, prefix, lambda _: None, verbatim))

    def hold_to(self, sentences: Sequence[str]) -> VerbatimText:
        """What replies can be held to: these sentences, a line each."""
        ids = self.encode(sentences) if sentences else []
        return VerbatimText(ids, self.encode(["\n"])[0][-1], self.stop, self.model.device)

    def write(self, instruction: str, max_new_tokens: int, on_text: OnText, repetition_penalty: float = 1.0) -> str:
        """Reply to one instruction as `generate` does, together with what other threads ask for.

        `on_text` is given the reply piece by piece.
        """
        growing = StreamedText(on_text)
        [prompt] = self.encode([self.chat_head + instruction + self.chat_tail])

        def on_replies(replies: list[list[int]]) -> None:
            growing.reach(self.texts(replies)[0])

        rows = [DecodeRow(prompt, max_new_tokens, repetition_penalty)]
        replies = self.scheduler.decode(rows, Prefix(self.model), on_replies)
        return growing.end(self.texts(replies)[0])

    def remember(self, text: str, on_step: OnStep) -> KeyValues:
        """Prefill the chat template up to and with `text`; instructions given later follow in the same turn."""
        [ids] = self.encode([self.chat_head + text])
        return self.prefill(ids, on_step)

    def prefill(self, ids: Sequence[int], on_step: OnStep) -> KeyValues:
        """The exact key-value state of `ids`, computed window by window; `on_step` hears of each."""
        return read(self.model, ids, on_step, PrefillPlan())

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens."""
        encoded: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return encoded

    def read_keys(self, ids: Sequence[Sequence[int]], groups: Sequence[Head]) -> list[NDArray[np.float32]]:
        """The keys of texts, of their token ids, as `head_keys` reads them behind the beginning of a user's turn."""
        [beginning] = self.encode([self.chat_head])
        return [keys.float().cpu().numpy() for keys in head_keys(self.model, beginning, ids, groups)]

    def read_queries(self, text: str, heads: Sequence[Head], position: int) -> NDArray[np.float32]:
        """The queries of a text, as `head_queries` reads them behind the beginning of a user's turn."""
        beginning, ids = self.encode([self.chat_head, text])
        return np.asarray(head_queries(self.model, beginning, ids, heads, position).cpu())

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Where each of its tokens stands in a text."""
        encoded = self.tokenizer(text, add_special_tokens=False, verbose=False, return_offsets_mapping=True)
        return [(start, end) for start, end in encoded["offset_mapping"]]

    def texts(self, replies: Sequence[Sequence[int]]) -> list[str]:
        """What was said, from token ids."""
        return [self.tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in replies]

    def _split_chat_template(self) -> tuple[str, str]:
        """What the chat template puts before and after a user's words."""
        if not self.tokenizer.chat_template:
            return self.tokenizer.bos_token or "", "\n"
        turn = [{"role": "user", "content": MARK}]
        text = self.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True, **NO_THOUGHT)
        head, _, tail = text.partition(MARK)
        return head, tail

    def _stop_ids(self) -> frozenset[int]:
        declared = self.model.generation_config.eos_token_id if self.model.generation_config else None
        ids = declared if isinstance(declared, list) else [declared]
        return frozenset(i for i in (*ids, self.tokenizer.eos_token_id) if i is not None)


def load_model(
    source: str | Path,
    device: str,
    weights: Precision = "full",
    find: Callable[[str], str | Path] = str,
    auto: Any = AutoModelForCausalLM,
) -> PreTrainedModel:
    """The weights of a folder or hub id in transformers' own class: bfloat16 on CUDA, float32 elsewhere.

    On the CPU, matrices that are halves are kept as such (`models.lm.fp16_linear`), which changes no result.

    No code of the repository is run, and weights the class has no place for (beacons) are left unread. Where the
    configuration names a `beacon_base`, the weights are that model's; `find` says where it is.

    Args:
        weights: `4bit` keeps the matrices in four bits (bitsandbytes NF4) and computes as before.
        auto: the `Auto` class of transformers that knows the kind of model.

    Raises:
        InputError: 4-bit weights on a device that is not CUDA, or layers that keep no keys and values.
        ModelUnavailable: where neither the folder nor the hub has it, or weights are missing; says how to get it.
            `MissingExtra` where bitsandbytes is not installed.
    """
    transformers_logging.disable_progress_bar()
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    options = {"quantization_config": _four_bits(device, dtype)} if weights == "4bit" else {}
    with loading(source), _errors_only():
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        check_layers(config, source)
        base = getattr(config, "beacon_base", None)
        loaded: Any = auto.from_pretrained(
            find(base) if base else source,
            config=config,
            dtype=dtype,
            device_map={"": device},
            attn_implementation=register(),
            trust_remote_code=False,
            output_loading_info=True,
            **options,
        )
    model, report = loaded
    if missing := sorted(report["missing_keys"]):
        raise ModelUnavailable(f"The weights of '{source}' lack {', '.join(missing[:3])}. Fetch them again.")
    pack(model)
    fuse_norms(model)
    return cast(PreTrainedModel, model)


def _four_bits(device: str, dtype: torch.dtype) -> BitsAndBytesConfig:
    if not device.startswith("cuda"):
        raise InputError(
            f"4-bit weights need a CUDA device; the model would run on {device}. Leave out --weights 4bit, or choose "
            "--device cuda on a machine that has one."
        )
    require("bitsandbytes", "gpu")
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


@contextmanager
def _errors_only() -> Iterator[None]:
    """No load report: of its contents, missing weights are raised and the others are meant."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
