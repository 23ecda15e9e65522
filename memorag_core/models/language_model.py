"""A causal language model of transformers with its tokenizer: counted, prefilled, and decoded over a memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from memorag_core.errors import ModelUnavailable
from memorag_core.models.attention import BufferCache, KeyValues, register
from memorag_core.models.decoding import decode
from memorag_core.models.growing import Growing
from memorag_core.models.registry import loading
from memorag_core.stopping import check
from memorag_core.types import OnStep, OnText

PREFILL_WINDOW = 1024
MARK = "\u241e"


class LanguageModel:
    """Weights, tokenizer and chat template of one model. Thread-safe to read, one call at a time."""

    def __init__(self, model: PreTrainedModel, tokenizer: Any, model_id: str, revision: str) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.model_id = model_id
        self.revision = revision
        self.chat_head, self.chat_tail = self._split_chat_template()
        self.stop = self._stop_ids()

    @classmethod
    def load(
        cls, source: str | Path, device: str, model_id: str | None = None, find: Callable[[str], str | Path] = str
    ) -> LanguageModel:
        """Load a folder or a hub id: bfloat16 on CUDA, float32 on CPU.

        Args:
            find: from the name of the base model, of a folder that holds beacons alone, to what a loader takes.

        Raises:
            ModelUnavailable: where neither the folder nor the hub has it; says how to get it.
        """
        model = load_model(source, device, find)
        with loading(source):
            tokenizer = AutoTokenizer.from_pretrained(source)
        return cls(model, tokenizer, model_id or str(source), getattr(model.config, "_commit_hash", None) or "")

    @property
    def window(self) -> int:
        """The longest sequence the model was made for, in tokens."""
        return int(self.model.config.max_position_embeddings)

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
        """Reply to every instruction, as one batch; each alone, or continuing `memory` without changing it."""
        lead = "\n\n" if memory else self.chat_head
        prompts = self.encode([lead + instruction + self.chat_tail for instruction in instructions])
        replies = decode(self.model, prompts, max_new_tokens, self.stop, memory, repetition_penalty, on_forward)
        return self.texts(replies)

    def write(self, instruction: str, max_new_tokens: int, on_text: OnText, repetition_penalty: float = 1.0) -> str:
        """Reply to one instruction as `generate` does; `on_text` is given the reply piece by piece."""
        growing = Growing(on_text)
        prompts = self.encode([self.chat_head + instruction + self.chat_tail])

        def on_replies(replies: list[list[int]]) -> None:
            growing.reach(self.texts(replies)[0])

        replies = decode(
            self.model, prompts, max_new_tokens, self.stop, None, repetition_penalty, on_replies=on_replies
        )
        return growing.end(self.texts(replies)[0])

    def remember(self, text: str, on_step: OnStep) -> KeyValues:
        """Prefill the chat template up to and with `text`; instructions given later follow in the same turn."""
        [ids] = self.encode([self.chat_head + text])
        return self.prefill(ids, on_step)

    @torch.inference_mode()
    def prefill(self, ids: Sequence[int], on_step: OnStep) -> KeyValues:
        """The exact key-value state of `ids`, computed window by window; `on_step` hears of each."""
        cache = BufferCache(self.model.config.num_hidden_layers, len(ids))
        for start in range(0, len(ids), PREFILL_WINDOW):
            check()
            window = torch.tensor([ids[start : start + PREFILL_WINDOW]], device=self.model.device)
            self.model(input_ids=window, past_key_values=cache, use_cache=True, logits_to_keep=1)
            on_step(min(start + PREFILL_WINDOW, len(ids)), len(ids))
        return cache.key_values(len(ids))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens."""
        encoded: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return encoded

    def texts(self, replies: Sequence[Sequence[int]]) -> list[str]:
        """What was said, from token ids."""
        return [self.tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in replies]

    def _split_chat_template(self) -> tuple[str, str]:
        """What the chat template puts before and after a user's words."""
        if not self.tokenizer.chat_template:
            return self.tokenizer.bos_token or "", "\n"
        turn = [{"role": "user", "content": MARK}]
        text = self.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        head, _, tail = text.partition(MARK)
        return head, tail

    def _stop_ids(self) -> frozenset[int]:
        declared = self.model.generation_config.eos_token_id if self.model.generation_config else None
        ids = declared if isinstance(declared, list) else [declared]
        return frozenset(i for i in (*ids, self.tokenizer.eos_token_id) if i is not None)


def load_model(source: str | Path, device: str, find: Callable[[str], str | Path] = str) -> PreTrainedModel:
    """The weights of a folder or hub id in transformers' own class: bfloat16 on CUDA, float32 elsewhere.

    No code of the repository is run, and weights the class has no place for (beacons) are left unread. Where the
    configuration names a `beacon_base`, the weights are that model's; `find` says where it is.

    Raises:
        ModelUnavailable: where neither the folder nor the hub has it, or weights are missing; says how to get it.
    """
    transformers_logging.disable_progress_bar()
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    with loading(source), _errors_only():
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        base = getattr(config, "beacon_base", None)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            find(base) if base else source,
            config=config,
            dtype=dtype,
            attn_implementation=register(),
            trust_remote_code=False,
            output_loading_info=True,
        )
    model, report = loaded
    if missing := sorted(report["missing_keys"]):
        raise ModelUnavailable(f"The weights of '{source}' lack {', '.join(missing[:3])}. Fetch them again.")
    return cast(PreTrainedModel, model.to(device))


@contextmanager
def _errors_only() -> Iterator[None]:
    """No load report: of its contents, missing weights are raised and the others are meant."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
