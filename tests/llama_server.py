"""A real OpenAI-compatible server, llama.cpp's own, in this process, and a small model in the format it reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

from memorag_core.models.lm.language_model import LanguageModel


@contextmanager
def llama_server(model: Path, key: str = "", window: int = 2048, embeds: bool = False) -> Iterator[str]:
    """The address of a server of the model, to put into `OPENAI_BASE_URL`; it writes, or embeds by the mean."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx = window
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.warmup = False
    params.port = 0
    params.api_keys = [key] if key else []
    params.embedding = embeds
    if embeds:
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server  # stops it


def write_gguf(lm: LanguageModel, path: Path) -> None:
    """A Llama model with a byte-level tokenizer as GGUF, float32."""
    config, tokenizer = lm.model.config, lm.tokenizer
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([control if token.startswith("<|") else normal for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template(tokenizer.chat_template)
    _add_weights(writer, lm)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_weights(writer: gguf.GGUFWriter, lm: LanguageModel) -> None:
    config = lm.model.config
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, tensor in lm.model.state_dict().items():
        weight = tensor.float().numpy()
        if rotated := heads.get(name.split(".")[-2]):  # GGUF has the pairs that are rotated beside each other
            pairs = weight.reshape(rotated, 2, -1, weight.shape[-1])
            weight = np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(weight.shape)
        own = names.get_name(name, try_suffixes=(".weight",))
        assert own, name
        writer.add_tensor(own, weight)
