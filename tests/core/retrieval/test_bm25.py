"""BM25: words of any script, ranked by what is rare; never a hit by chance."""

from __future__ import annotations

from math import log
from pathlib import Path

import pytest

from memorag_core.concurrency.progress import SILENT
from memorag_core.retrieval.bm25 import Bm25Index, Bm25Retriever
from memorag_core.text.terms import stems

TEXTS = [
    "The mill stands at the head of the pond.",
    "Amos kept the gate book every day.",
    "磨坊矗立在池塘的源头，水闸于一九六三年安装。",
    "检查员星期一从阿德茅斯来。",
    "Die Mühle steht am Ende des Teiches; чай пьют в полдень.",
    "चोरी चोरी हिन्दी फिल्म है।",
    "",
    "!!! …",
]


def indexed(texts: list[str]) -> Bm25Index:
    return Bm25Retriever().index(texts, SILENT)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("Which gates did Amos keep a book of?", 1),
        ("MILL", 0),
        ("水闸何时安装？", 2),
        ("检查员", 3),
        ("muhle", 4),
        ("ЧАЙ", 4),
        ("हिन्दी", 5),
    ],
)
def test_a_query_finds_the_text_that_shares_its_words_in_every_script(query: str, text: int) -> None:
    assert indexed(TEXTS).search([query], 3)[0][0].chunk == text


@pytest.mark.parametrize("query", ["", "?!", "zeppelin", "黑洞"])
def test_a_query_without_a_known_word_has_no_hits(query: str) -> None:
    assert indexed(TEXTS).search([query], 5) == [[]]


def test_function_words_count_only_where_a_query_has_no_others() -> None:
    index = indexed(["The Who", "a mill by the pond"])
    assert [hit.chunk for hit in index.search(["the mill"], 5)[0]] == [1]
    assert [hit.chunk for hit in index.search(["The Who"], 5)[0]] == [0, 1]


def test_equal_texts_rank_in_their_order_and_the_best_are_a_prefix_of_more() -> None:
    index = indexed(["a pond", "the mill", "the mill", "the mill"])
    assert [hit.chunk for hit in index.search(["mill"], 9)[0]] == [1, 2, 3]
    assert index.search(["mill"], 2)[0] == index.search(["mill"], 9)[0][:2]


def test_a_batch_of_queries_finds_what_each_finds_alone() -> None:
    index, queries = indexed(TEXTS), ["mill pond", "星期一", "nothing known: zeppelin"]
    assert index.search(queries, 3) == [index.search([query], 3)[0] for query in queries]


def test_an_index_read_back_finds_the_same(tmp_path: Path) -> None:
    index = indexed(TEXTS)
    index.save(tmp_path)
    queries = ["mill", "池塘", "gate book", "zeppelin"]
    assert Bm25Retriever().load(tmp_path).search(queries, 5) == index.search(queries, 5)
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}


@pytest.mark.parametrize("texts", [[], ["", "…"]])
def test_an_index_of_no_words_is_kept_and_finds_nothing(texts: list[str], tmp_path: Path) -> None:
    indexed(texts).save(tmp_path)
    assert Bm25Retriever().load(tmp_path).search(["mill"], 5) == [[]]


def test_a_text_of_any_length_is_read_to_its_end() -> None:
    long = "pond " * 100_000 + "weir"
    assert Bm25Retriever().max_tokens >= Bm25Retriever().count([long])[0] == 100_001
    assert [hit.chunk for hit in indexed(["a mill", long]).search(["weir"], 5)[0]] == [1]


def test_words_are_stems_without_case_accents_or_width() -> None:
    assert stems("Gates GATE ｇａｔｅ Café") == ["gate", "gate", "gate", "cafe"]
    assert stems("水闸a") == ["水", "闸", "水闸", "a"]


def test_scores_are_those_of_lucenes_formula() -> None:
    [hits] = indexed(["pond mill pond", "mill", "gate book"]).search(["pond"], 3)
    rarity, length, mean = log(1 + 2.5 / 1.5), 3, (3 + 1 + 2) / 3
    [hit] = hits
    assert hit.chunk == 0
    assert hit.score == pytest.approx(rarity * 2 / (2 + 1.2 * (1 - 0.75 + 0.75 * length / mean)), rel=1e-6)
