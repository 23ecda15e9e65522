"""Searches that only some texts may be found by: the best of these, however good the others are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memorag_core.concurrency.progress import SILENT
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.retrieval.attention import AttentionIndexer
from memorag_core.retrieval.base import Finder, Hit
from memorag_core.retrieval.bm25 import Bm25Retriever
from memorag_core.retrieval.dense import DenseRetriever
from memorag_core.retrieval.hybrid import HybridRetriever

TEXTS = [
    "The mill stands at the head of the pond.",
    "Amos kept the gate book of the mill.",
    "The horn was sounded at the mill.",
    "The gate of the mill was hung in May.",
    "Nobody opened the gate.",
]
QUERY = "Who kept the gate book of the mill?"
SOME = np.array([True, False, True, False, True])


@pytest.fixture(scope="module")
def retrievers(tiny_models: Path) -> dict[str, Any]:
    dense, bm25 = DenseRetriever(tiny_models / "embedder", "cpu"), Bm25Retriever()
    return {"dense": dense, "bm25": bm25, "hybrid": HybridRetriever([dense, bm25])}


def finders(retriever: Any) -> list[Finder]:
    """One index of all texts, and two merged."""
    parts = [retriever.index(TEXTS[:2], SILENT), retriever.index(TEXTS[2:], SILENT)]
    return [retriever.index(TEXTS, SILENT), retriever.merge(parts, [2, 3])]


def rounded(hits: list[Hit]) -> list[tuple[int, float]]:
    return [(hit.chunk, round(hit.score, 4)) for hit in hits]


@pytest.mark.parametrize("kind", ["dense", "bm25"])
def test_the_best_of_the_texts_allowed_are_found_with_the_scores_they_have_anyway(
    retrievers: dict[str, Any], kind: str
) -> None:
    for finder in finders(retrievers[kind]):
        whole, some = finder.search([QUERY], 9)[0], finder.search([QUERY], 9, SOME)[0]
        assert rounded(some) == rounded([hit for hit in whole if SOME[hit.chunk]])
        assert rounded(finder.search([QUERY], 1, SOME)[0]) == rounded(some[:1])


def test_a_hybrid_compares_only_the_texts_allowed(retrievers: dict[str, Any]) -> None:
    for finder in finders(retrievers["hybrid"]):
        assert {hit.chunk for hit in finder.search([QUERY], 9, SOME)[0]} == {0, 2, 4}


def test_where_no_text_is_allowed_none_is_found(retrievers: dict[str, Any]) -> None:
    for retriever in retrievers.values():
        for finder in finders(retriever):
            assert finder.search([QUERY, QUERY], 3, np.zeros(5, np.bool_)) == [[], []]


def test_attention_is_shared_among_the_texts_allowed(tiny_models: Path) -> None:
    indexer = AttentionIndexer(LanguageModel.load(tiny_models / "lm", "cpu"), [(0, 1), (1, 3)])
    numbers = np.flatnonzero(SOME).tolist()
    alone = indexer.index([TEXTS[number] for number in numbers], SILENT).attend(QUERY).best(9)
    among = indexer.index(TEXTS, SILENT).attend(QUERY, SOME).best(9)
    assert rounded(among) == rounded([Hit(numbers[hit.chunk], hit.score) for hit in alone])
    assert indexer.index(TEXTS, SILENT).attend(QUERY, np.zeros(5, np.bool_)).best(9) == []
