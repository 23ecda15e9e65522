"""Which models of transformers can be a memory and write here: those that keep keys and values in every layer.

Tokens of a layer may see the whole text or a sliding window of it (`models.lm.attention`). Layers that keep a running
state instead of what they read (Mamba, Gated DeltaNet, short convolutions) have nothing that could be kept, cut and
shared token by token; other forms of attention would be computed wrongly, so they are refused too.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from memorag_core.errors import InputError
from memorag_core.models.lm.head_layout import head_width

UNDERSTOOD = {"attention", "full_attention", "sliding_attention"}
PROBE = 3


def check_layers(config: Any, source: object) -> None:
    """Refuse a model by its configuration, before its weights are fetched.

    Raises:
        InputError: some layers keep no keys and values, or are attended to in a way that is not done here.
    """
    text = config.get_text_config(decoder=True)
    kinds = set(getattr(text, "layer_types", None) or ()) - UNDERSTOOD
    layers = DynamicCache(config=text).layers
    without = [layer for layer in layers if not isinstance(layer, DynamicLayer)]
    if kinds or without:
        named = " and ".join(sorted(kind.replace("_", " ") for kind in kinds)) or "a running state"
        raise _refuse(source, f"has layers with {named} in place of plain attention")


@torch.inference_mode()
def check_attention(model: Any, source: object) -> None:
    """Refuse a model whose layers do not attend as `models.lm.attention` does, all alike.

    Raises:
        InputError: keys and values of some layers are missing, of other widths, or attended to by other means.
    """
    config = model.config
    queries: list[torch.Tensor] = []
    try:
        ids = torch.ones(1, PROBE, dtype=torch.long, device=model.device)
        layers = model(ids, use_cache=True, queries=queries, logits_to_keep=1).past_key_values.layers
        shape = (1, config.num_key_value_heads, PROBE, head_width(config))
        alike = [layer.keys.shape == layer.values.shape == shape for layer in layers]
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # each kind of model fails in its own way where ours is not how it attends
        raise _refuse(source, f"does not attend as other models do ({error})") from error
    if not all(alike) or not len(alike) == len(queries) == config.num_hidden_layers:
        raise _refuse(source, "has layers whose keys and values are shared, compressed or of different sizes")


def take_text_part(model: PreTrainedModel) -> PreTrainedModel:
    """The language model of one that also sees or hears; any other as it is."""
    whole: Any = model
    config = whole.config.get_text_config(decoder=True)
    if config is whole.config or not hasattr(whole.base_model, "language_model"):
        return model
    with torch.device("meta"):
        text: Any = AutoModelForCausalLM.from_config(config, attn_implementation=config._attn_implementation)
    setattr(text, text.base_model_prefix, whole.base_model.language_model)
    text.set_output_embeddings(whole.get_output_embeddings())
    text.generation_config = whole.generation_config
    part: PreTrainedModel = text
    return part


def _refuse(source: object, why: str) -> InputError:
    return InputError(
        f"'{source}' {why}, so that no memory of the kinds long, lite, beacon or latent can be made of it, nor can it "
        "write here. Serve it by Ollama, LM Studio or vLLM and name it there: with --memory-model ollama:MODEL it "
        "writes gists (the kind lite-api), with --generator ollama:MODEL answers; --memory none needs no memory model. "
        "Or choose a model with plain attention, such as a Qwen3, Llama, Gemma 3, Granite 3, SmolLM3, Mistral or Phi."
    )
