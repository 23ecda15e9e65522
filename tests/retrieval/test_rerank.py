"""Reranking by a cross-encoder: one score a text, however long text and query are."""

from __future__ import annotations

from pathlib import Path

import pytest

from memorag_core.errors import ModelUnavailable
from memorag_core.retrieval.rerank import Reranker
from memorag_core.retrieval.windows import windows

TEXTS = ["The horn was sounded.", "Amos kept the gate book every day.", "", "水闸于一九六三年安装。"]
QUERY = "Who kept the gate book?"
LONG = " ".join(f"The gate number {number} was hung in the mill." for number in range(60))


@pytest.fixture(scope="module")
def cross_encoder(tiny_models: Path) -> Path:
    """A random BERT that scores pairs, of 64 tokens at most."""
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    raw, folder = tiny_models / "bert", tiny_models / "cross"
    tokenizer = BertTokenizer.from_pretrained(raw, model_max_length=64)
    config = BertConfig.from_pretrained(raw, num_labels=1, initializer_range=0.5)
    torch.manual_seed(0)
    scorer = folder.with_name("scorer")
    BertForSequenceClassification(config).save_pretrained(scorer)
    tokenizer.save_pretrained(scorer)
    CrossEncoder(str(scorer), device="cpu").save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def reranker(cross_encoder: Path) -> Reranker:
    return Reranker(cross_encoder, "cpu")


def test_a_batch_scores_as_each_text_alone_and_as_the_model_itself(reranker: Reranker) -> None:
    together = reranker.scores(QUERY, TEXTS)
    assert together == pytest.approx([reranker.scores(QUERY, [text])[0] for text in TEXTS], abs=1e-5)
    assert together == pytest.approx(
        [float(score) for score in reranker.encoder.predict([(QUERY, text) for text in TEXTS])], abs=1e-5
    )
    assert len(set(together)) == len(TEXTS)


def test_a_text_beyond_the_limit_scores_as_its_best_window(reranker: Reranker) -> None:
    room = reranker.max_tokens - reranker.count([QUERY])[0]
    parts = windows(LONG, room, reranker.count)
    assert len(parts) > 3
    assert max(reranker.count(parts)) <= room
    assert reranker.scores(QUERY, [LONG]) == pytest.approx([max(reranker.scores(QUERY, parts))], abs=1e-5)


def test_the_end_of_a_query_beyond_the_limit_counts(reranker: Reranker) -> None:
    assert reranker.scores(LONG + " The horn?", TEXTS) != pytest.approx(reranker.scores(LONG, TEXTS), abs=1e-6)


def test_no_texts_have_no_scores(reranker: Reranker) -> None:
    assert reranker.scores(QUERY, []) == []


def test_a_classifier_is_refused_with_what_to_choose_instead(cross_encoder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    AutoTokenizer.from_pretrained(cross_encoder).save_pretrained(tmp_path)
    BertForSequenceClassification(BertConfig.from_pretrained(cross_encoder, num_labels=3)).save_pretrained(tmp_path)
    with pytest.raises(ModelUnavailable, match=r"3 classes.*one score"):
        Reranker(tmp_path, "cpu")


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="nowhere"):
        Reranker(tmp_path / "nowhere", "cpu")
