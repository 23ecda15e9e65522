"""The encoder of a latent context model: windows of tokens become embeddings that its decoder reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer, PreTrainedModel

from memorag_core.errors import ModelUnavailable
from memorag_core.models.hub import loading
from memorag_core.models.latent.checkpoint import ADAPTER, ENCODER, LatentCheckpoint
from memorag_core.models.lm.fp16_linear import pack
from memorag_core.models.lm.language_model import load_model

PADDING = 0
EPSILON = 1e-6


class Adapter(torch.nn.Module):
    """Pooled hidden states of the encoder as embeddings of the decoder."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.inner, self.outer = inner, outer
        self.norm = torch.nn.RMSNorm(inner, eps=EPSILON)
        self.fc1 = torch.nn.Linear(inner, outer)
        self.fc2 = torch.nn.Linear(outer, outer)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the weights, whose shapes tell the widths."""
        tensors = load_file(path)
        try:
            outer, inner = tensors["fc1.weight"].shape
            with torch.device("meta"):
                adapter = cls(inner, outer)
            adapter.load_state_dict(tensors, assign=True)
        except (KeyError, RuntimeError) as error:
            said = str(error).splitlines()[-1].strip()
            raise ModelUnavailable(f"{path} does not hold an adapter of norm, fc1 and fc2 ({said}).") from error
        return adapter

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """(…, inner) to (…, outer)."""
        adapted: torch.Tensor = self.fc2(torch.nn.functional.gelu(self.fc1(self.norm(pooled))))
        return adapted


class LatentEncoder:
    """Reads windows of tokens, each on its own, several at once; of every `ratio` tokens of one it makes a latent."""

    def __init__(self, model: PreTrainedModel, tokenizer: Any, adapter: Adapter, checkpoint: LatentCheckpoint) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.adapter = adapter.eval().requires_grad_(False).to(model.device, model.dtype)
        pack(self.adapter)
        self.ratio, self.window = checkpoint.ratio, checkpoint.window

    @classmethod
    def load(cls, checkpoint: LatentCheckpoint, device: str) -> Self:
        """Load encoder and adapter: bfloat16 on CUDA, float32 elsewhere.

        Raises:
            ModelUnavailable: weights are missing, or do not fit each other.
        """
        folder = checkpoint.folder / ENCODER
        model = load_model(folder, device, auto=AutoModel)
        with loading(folder):
            tokenizer = AutoTokenizer.from_pretrained(folder)
        adapter = Adapter.load(checkpoint.folder / ADAPTER)
        if adapter.inner != model.config.hidden_size:
            raise ModelUnavailable(
                f"The adapter of '{checkpoint.folder}' takes {adapter.inner} numbers, its encoder gives "
                f"{model.config.hidden_size}: they are of different checkpoints."
            )
        return cls(model, tokenizer, adapter, checkpoint)

    def tokenize(self, text: str) -> tuple[list[int], list[int]]:
        """The tokens of a text, and the character at which each begins."""
        encoded = self.tokenizer(text, add_special_tokens=False, verbose=False, return_offsets_mapping=True)
        return encoded["input_ids"], [start for start, _ in encoded["offset_mapping"]]

    @torch.inference_mode()
    def encode(self, windows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """The latents of each window, (latents, decoder's width)."""
        longest = max(map(len, windows))
        # no token sees what stands behind it, so that padding there changes nothing
        padded = torch.tensor([[*row, *[PADDING] * (longest - len(row))] for row in windows], device=self.model.device)
        hidden = self.model(input_ids=padded, use_cache=False).last_hidden_state
        pooled = [self._pool(states[: len(row)]) for states, row in zip(hidden, windows, strict=True)]
        return list(self.adapter(torch.cat(pooled)).split([len(latents) for latents in pooled]))

    def _pool(self, states: torch.Tensor) -> torch.Tensor:
        """The mean of every `ratio` hidden states, the last of them of what is left."""
        return torch.stack([group.mean(0) for group in states.split(self.ratio)])
