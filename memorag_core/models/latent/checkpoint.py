"""The published layout of latent context models (LCLM): an encoder, an adapter and a decoder in one folder.

    model_config.json              how many tokens a latent stands for, and how many the encoder reads at once
    encoder/  decoder/             models of transformers with their tokenizers
    adapter/adapter.safetensors    what makes embeddings of the decoder of the encoder's hidden states

Li et al., End-to-End Context Compression at Scale, arXiv 2606.09659; `latent-context/0.6b-4b-LCLM-8x` and its like.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from memorag_core.errors import ModelUnavailable
from memorag_core.models import hub

CONFIG = "model_config.json"
ENCODER, DECODER, ADAPTER = "encoder", "decoder", "adapter/adapter.safetensors"
PARTS = (CONFIG, f"{ENCODER}/config.json", ADAPTER, f"{DECODER}/config.json")
UNDERSTOOD = {"pooling": "mean", "encoder_mask_type": "causal", "boundary_overlap": 0, "adapter_type": "mlp"}


@dataclass(frozen=True, slots=True)
class LatentCheckpoint:
    """Where a checkpoint is; each of its latents stands for `ratio` tokens of a window of `window`."""

    folder: Path
    ratio: int
    window: int

    @classmethod
    def find(cls, source: str | Path) -> Self:
        """The checkpoint of a folder or a hub id, fetched now if need be.

        Raises:
            ModelUnavailable: it is not there, not whole, or of another kind than those published.
        """
        folder = _fetch(source)
        missing = [part for part in PARTS if not (folder / part).is_file()]
        if missing:
            raise _incomplete(source, missing)
        return cls(folder, *_sizes(source, folder / CONFIG))


def holds_latents(folder: Path) -> bool:
    """Whether a folder is in the published layout, as far as its first file tells."""
    return (folder / CONFIG).is_file() and (folder / DECODER).is_dir()


def language_model_in(source: str | Path) -> str | Path:
    """What a loader of language models takes for a folder or hub id: of a latent context model, its decoder."""
    if Path(source).is_dir():
        return Path(source) / DECODER if holds_latents(Path(source)) else source
    has_latents = hub.is_id(str(source)) and hub.find_file(source, CONFIG)
    return _fetch(source) / DECODER if has_latents else source


def _fetch(source: str | Path) -> Path:
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download

    with hub.loading(source):
        if not hub.find_file(source, CONFIG) and hub.find_file(source, "config.json"):
            raise _incomplete(source, [CONFIG])  # gigabytes of another model need not be fetched to say so
        return Path(snapshot_download(str(source)))


def _incomplete(source: str | Path, missing: Sequence[str]) -> ModelUnavailable:
    return ModelUnavailable(
        f"'{source}' is no latent context model (LCLM): it has no {', '.join(missing)}. Give a folder in the published "
        f"layout, with {', '.join(PARTS)}, or a hub id such as latent-context/0.6b-4b-LCLM-8x."
    )


def _sizes(source: str | Path, path: Path) -> tuple[int, int]:
    """Ratio and window of a configuration, checked."""
    config = json.loads(path.read_text(encoding="utf-8"))
    differing = {name: config.get(name) for name, value in UNDERSTOOD.items() if config.get(name, value) != value}
    if differing:
        raise ModelUnavailable(
            f"'{source}' is a latent context model of another kind ({differing} in {CONFIG}). Understood are those "
            f"published, with {UNDERSTOOD}."
        )
    ratio, window = config.get("compression_ratio"), config.get("encoder_window_size")
    if not (isinstance(ratio, int) and isinstance(window, int) and 0 < ratio <= window and window % ratio == 0):
        raise ModelUnavailable(
            f"{CONFIG} of '{source}' has compression_ratio {ratio} and encoder_window_size {window}; the window must "
            "be a multiple of the ratio, both whole numbers from 1 on."
        )
    return ratio, window
