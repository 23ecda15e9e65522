"""BGE-M3 by FlagEmbedding, from a tiny random folder in its layout: all three outputs, and no text cut short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SAMPLES

from memorag_core.concurrency.progress import SILENT
from memorag_core.errors import ModelUnavailable
from memorag_core.retrieval.bge_m3 import BgeM3Retriever

TEXTS = ["The mill stands at the head of the pond.", "Amos kept the gate book.", "水闸", "The horn was sounded.", ""]
QUERIES = ["Where is the mill?", "Who kept the book?", ""]
LONG = " ".join(f"The gate number {number} was hung in the mill." for number in range(30))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random XLM-RoBERTa of 62 tokens, and the two linear heads beside it."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    folder = tmp_path_factory.mktemp("bge-m3")
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=400, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator([(SAMPLES / "harrow-sound.md").read_text(encoding="utf-8")], trainer)
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token"), special, strict=True))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, cls_token="<s>", sep_token="</s>", model_max_length=64, **names
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
        initializer_range=0.3,
    )
    XLMRobertaModel(config).save_pretrained(folder)
    torch.save(torch.nn.Linear(32, 32).state_dict(), folder / "colbert_linear.pt")
    torch.save(torch.nn.Linear(32, 1).state_dict(), folder / "sparse_linear.pt")
    return folder


@pytest.fixture(scope="module")
def retriever(folder: Path) -> BgeM3Retriever:
    return BgeM3Retriever(folder, "cpu")


def test_scores_are_those_of_the_authors_own_program(retriever: BgeM3Retriever, folder: Path) -> None:
    from FlagEmbedding import BGEM3FlagModel

    theirs: Any = BGEM3FlagModel(str(folder), use_fp16=False, devices="cpu")
    pairs = [(query, text) for query in QUERIES for text in TEXTS]
    scores = theirs.compute_score(pairs, weights_for_different_modes=[0.4, 0.2, 0.4])["colbert+sparse+dense"]
    found = retriever.index(TEXTS, SILENT).search(QUERIES, 9)
    ours = [hit.score for hits in found for hit in sorted(hits, key=lambda hit: hit.chunk)]
    assert ours == pytest.approx(scores, abs=0.01)
    for hits in found:
        assert hits == sorted(hits, key=lambda hit: -hit.score)


def test_an_index_read_back_finds_the_same(retriever: BgeM3Retriever, tmp_path: Path) -> None:
    index = retriever.index(TEXTS, SILENT)
    index.save(tmp_path)
    assert retriever.load(tmp_path).search(QUERIES, 3) == index.search(QUERIES, 3)
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]


def test_several_indexes_find_together_what_one_of_all_texts_does(retriever: BgeM3Retriever) -> None:
    merge = retriever.merge([retriever.index(TEXTS[:2], SILENT), retriever.index(TEXTS[2:], SILENT)], [2, 3])
    expected = retriever.index(TEXTS, SILENT).search(QUERIES, 3)
    for hits, whole in zip(merge.search(QUERIES, 3), expected, strict=True):
        assert [hit.chunk for hit in hits] == [hit.chunk for hit in whole]
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in whole], abs=1e-5)


def test_texts_in_batches_are_indexed_as_each_alone(retriever: BgeM3Retriever, monkeypatch: pytest.MonkeyPatch) -> None:
    together = retriever.index(TEXTS, SILENT).search(QUERIES, 9)
    monkeypatch.setattr("memorag_core.retrieval.bge_m3.BATCH", 1)
    for hits, alone in zip(together, retriever.index(TEXTS, SILENT).search(QUERIES, 9), strict=True):
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in alone], abs=1e-3)


def test_no_texts_and_no_queries_have_no_hits(retriever: BgeM3Retriever, tmp_path: Path) -> None:
    retriever.index([], SILENT).save(tmp_path)
    assert retriever.load(tmp_path).search(QUERIES, 3) == [[], [], []]
    assert retriever.index(TEXTS, SILENT).search([], 3) == []


def test_the_end_of_a_query_beyond_the_limit_counts(retriever: BgeM3Retriever) -> None:
    assert retriever.max_tokens == 62
    assert retriever.count([LONG])[0] > 3 * retriever.max_tokens
    query, longer = retriever.encode_query(LONG), retriever.encode_query(LONG + " The horn was sounded.")
    assert np.linalg.norm(longer.dense) == pytest.approx(1, abs=1e-5)
    assert np.abs(longer.dense - query.dense).max() > 1e-5
    assert len(longer.multi[0]) > len(query.multi[0]) > retriever.count([LONG])[0] - 1
    assert longer.lexical.nnz >= query.lexical.nnz


def test_a_folder_without_its_heads_is_refused_instead_of_scored_at_random(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(ModelUnavailable, match=r"no colbert_linear.pt.*'dense'"):
        BgeM3Retriever(tmp_path, "cpu")


def test_only_texts_that_are_allowed_are_found(retriever: BgeM3Retriever) -> None:
    some = np.array([False, True, False, True, True])
    merge = retriever.merge([retriever.index(TEXTS[:2], SILENT), retriever.index(TEXTS[2:], SILENT)], [2, 3])
    for finder in (retriever.index(TEXTS, SILENT), merge):
        expected = [hit.chunk for hit in finder.search(QUERIES[:1], 9)[0] if some[hit.chunk]]
        assert [hit.chunk for hit in finder.search(QUERIES[:1], 9, some)[0]] == expected
