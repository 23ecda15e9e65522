"""Reranking by a cross-encoder: one score a text, however long text and query are."""

from __future__ import annotations

import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.errors import ModelUnavailable
from memorag_core.query.search import READ_AGAIN, REREAD, rerank
from memorag_core.retrieval.cross_encoder import CrossEncoder
from memorag_core.retrieval.fusion import RRF_K, Found
from memorag_core.retrieval.windows import windows
from memorag_core.types import Chunk
from memorag_mcp.commands.doctor import _profile_and_models

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
def reranker(cross_encoder: Path) -> CrossEncoder:
    return CrossEncoder(cross_encoder, "cpu")


def test_a_batch_scores_as_each_text_alone_and_as_the_model_itself(reranker: CrossEncoder) -> None:
    together = reranker.scores(QUERY, TEXTS)
    assert together == pytest.approx([reranker.scores(QUERY, [text])[0] for text in TEXTS], abs=1e-5)
    assert together == pytest.approx(
        [float(score) for score in reranker.encoder.predict([(QUERY, text) for text in TEXTS])], abs=1e-5
    )
    assert len(set(together)) == len(TEXTS)


def test_a_text_beyond_the_limit_scores_as_its_best_window(reranker: CrossEncoder) -> None:
    room = reranker.max_tokens - reranker.count([QUERY])[0]
    parts = windows(LONG, room, reranker.count)
    assert len(parts) > 3
    assert max(reranker.count(parts)) <= room
    assert reranker.scores(QUERY, [LONG]) == pytest.approx([max(reranker.scores(QUERY, parts))], abs=1e-5)


def test_the_end_of_a_query_beyond_the_limit_counts(reranker: CrossEncoder) -> None:
    assert reranker.scores(LONG + " The horn?", TEXTS) != pytest.approx(reranker.scores(LONG, TEXTS), abs=1e-6)


def test_no_texts_have_no_scores(reranker: CrossEncoder) -> None:
    assert reranker.scores(QUERY, []) == []


def test_a_classifier_is_refused_with_what_to_choose_instead(cross_encoder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    AutoTokenizer.from_pretrained(cross_encoder).save_pretrained(tmp_path)
    BertForSequenceClassification(BertConfig.from_pretrained(cross_encoder, num_labels=3)).save_pretrained(tmp_path)
    with pytest.raises(ModelUnavailable, match=r"3 classes.*one score"):
        CrossEncoder(tmp_path, "cpu")


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="nowhere"):
        CrossEncoder(tmp_path / "nowhere", "cpu")


def test_the_engine_reads_the_best_hits_again_and_keeps_what_found_them(
    settings: Settings, cross_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves: list[tuple[list[Found], list[Found]]] = []

    def note(found: list[Found], *given: Any) -> list[Found]:
        moves.append((found, rerank(found, *given)))
        return moves[0][1]

    monkeypatch.setattr("memorag_core.query.query.rerank", note)
    book = from_text("\n\n".join(f"# Gate {number}\nIt was hung in {1900 + number}." for number in range(12)), "gates")
    plain = MemoRAG(settings)
    info = plain.memorize([book])
    before = {passage.chunk: passage for passage in plain.retrieve(info.id, QUERY, tokens=2000)}
    engine = MemoRAG(settings.model_copy(update={"reranker": str(cross_encoder)}))
    after = engine.retrieve(info.id, QUERY, tokens=2000)
    [(found, again)] = moves
    read = CrossEncoder(cross_encoder, "cpu").scores(QUERY, [chunk.indexed for chunk in before])
    order = [item.chunk for _, item in sorted(zip(read, found, strict=True), key=lambda pair: -pair[0])]
    assert len(after) == len(before) == 12
    scores = {item.chunk: item.score for item in found}
    expected = {chunk: scores[chunk] + REREAD / (RRF_K + rank) for rank, chunk in enumerate(order, start=1)}
    assert {item.chunk: item.score for item in again} == pytest.approx(expected)
    chunks = {item.chunk: chunk for item, chunk in zip(found, before, strict=True)}
    assert [passage.chunk for passage in after] == [chunks[item.chunk] for item in again]
    assert all(passage.found_by == before[passage.chunk].found_by for passage in after)
    assert engine.memorize([book]).cached  # it is no part of what a context is


def test_hits_beyond_those_read_again_stay_behind_them() -> None:
    found = [Found(number, 1 / (1 + number), ("asked",)) for number in range(READ_AGAIN + 5)]
    chunks = [Chunk("d", number, number + 1, str(number)) for number in range(len(found))]
    backwards = cast(CrossEncoder, SimpleNamespace(scores=lambda _, texts: [float(text) for text in texts]))
    again = rerank(found, QUERY, chunks, backwards)
    assert again[READ_AGAIN:] == found[READ_AGAIN:]
    assert {item.chunk for item in again[:READ_AGAIN]} == set(range(READ_AGAIN))
    gains = {item.chunk: item.score - found[item.chunk].score for item in again}
    assert gains[READ_AGAIN - 1] == pytest.approx(REREAD / (RRF_K + 1))
    assert rerank([], QUERY, chunks, backwards) == []


def test_models_are_unloaded_with_the_cross_encoder_and_it_is_told_by_the_doctor(
    settings: Settings, cross_encoder: Path
) -> None:
    chosen = settings.model_copy(update={"reranker": str(cross_encoder)})
    engine = MemoRAG(chosen)
    engine.memorize([from_text("\n".join(TEXTS))])
    held = weakref.ref(engine.shared.components.reranker)
    assert engine.shared.unload(0.0)
    assert held() is None
    assert f"model {cross_encoder}" in {check.what for check in _profile_and_models(chosen, has_torch=True)}
    nowhere = MemoRAG(settings.model_copy(update={"reranker": str(cross_encoder / "nowhere")}))
    with pytest.raises(ModelUnavailable, match="nowhere"):
        nowhere.memorize([from_text("\n".join(TEXTS))])
