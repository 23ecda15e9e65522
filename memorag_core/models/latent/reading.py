"""A decoder reads latents among its own tokens into a key-value state; windows are encoded several at once."""

from __future__ import annotations

from typing import Any

import torch

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.concurrency.device_memory import in_halves
from memorag_core.models.latent.encoder import LatentEncoder
from memorag_core.models.latent.text import LatentText
from memorag_core.models.lm.attention import BufferCache
from memorag_core.models.lm.key_values import KeyValues
from memorag_core.models.lm.prefill import OnBorder, PrefillState, ignore_border
from memorag_core.types import OnStep

WINDOWS_A_PASS = {"cuda": 16}
FEW_WINDOWS = 4
"""How many windows are encoded at once elsewhere: enough to keep a processor busy, few enough to be stopped soon."""


class LatentReader:
    """A decoder and the encoder of what it reads."""

    def __init__(self, decoder: Any, encoder: LatentEncoder) -> None:
        self.decoder = decoder
        self.encoder = encoder

    @torch.inference_mode()
    def read(
        self, text: LatentText, on_step: OnStep, after: PrefillState | None = None, on_border: OnBorder = ignore_border
    ) -> KeyValues:
        """The state after all of `text`, from nothing or from the state after its first entries, left as it was.

        `on_step` hears of (entries done, entries to do) after every pass; it may raise to stop. `on_border` hears of
        what is read, which is not changed by what follows.
        """
        cache = BufferCache(self.decoder.config.num_hidden_layers, len(text.ids))
        start = after.read if after else 0
        if after:
            cache.begin(after.state.first(start))
        for at, end, needed in text.passes(start, WINDOWS_A_PASS.get(self.decoder.device.type, FEW_WINDOWS)):
            raise_if_cancelled()
            entries = self._embed(text, range(at, end), needed)
            self.decoder(inputs_embeds=entries[None], past_key_values=cache, use_cache=True, logits_to_keep=1)
            on_border(end, cache.view(end))
            on_step(end - start, len(text.ids) - start)
        return cache.key_values(len(text.ids))

    def _embed(self, text: LatentText, entries: range, windows: range) -> torch.Tensor:
        """What the decoder reads at those entries, (entries, width); `windows` are those with latents among them."""
        ids = torch.tensor(text.ids[entries.start : entries.stop], device=self.decoder.device)
        embedded: torch.Tensor = self.decoder.get_input_embeddings()(ids.clamp(min=0))
        made = in_halves([text.windows[window] for window in windows], self.encoder.encode) if windows else []
        for window, latents in zip(windows, made, strict=True):
            first = text.begins[window] - entries.start
            known = max(0, -first)  # latents that were read before
            embedded[first + known : first + len(latents)] = latents[known:].to(embedded.dtype)
        return embedded
