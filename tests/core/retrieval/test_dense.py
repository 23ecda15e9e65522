"""Dense retrieval: prompts, limits, and search that is exact or by cells."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from memorag_core.concurrency.progress import SILENT
from memorag_core.retrieval.compiled_encoder import READ_AT_ONCE, CompiledEncoder
from memorag_core.retrieval.dense import DenseRetriever
from memorag_core.retrieval.encoder_layout import Encoder, Kind
from memorag_core.retrieval.encoders import open_encoder
from memorag_core.retrieval.torch_encoders import LibraryEncoder, PlainEncoder
from memorag_core.retrieval.vectors import WORKING_BYTES, VectorIndex, Vectors, _share_resources

TEXTS = ["The mill stands at the head of the pond.", "Amos kept the gate book.", "水闸", "The horn was sounded.", ""]
QUERIES = ["Where is the mill?", "水闸", ""]
LONG = " ".join(f"The gate number {number} was hung in the mill." for number in range(60))


@pytest.fixture(scope="module")
def retriever(tiny_models: Path) -> DenseRetriever:
    return DenseRetriever(tiny_models / "embedder", "cpu")


def test_an_index_read_back_finds_the_same(retriever: DenseRetriever, tmp_path: Path) -> None:
    index = retriever.index(TEXTS, SILENT)
    index.save(tmp_path)
    assert retriever.load(tmp_path).search(QUERIES, 3) == index.search(QUERIES, 3)


def test_a_batch_of_queries_finds_what_each_finds_alone(retriever: DenseRetriever) -> None:
    index = retriever.index(TEXTS, SILENT)
    for query, hits in zip(QUERIES, index.search(QUERIES, 9), strict=True):
        alone = index.search([query], 9)[0]
        assert [hit.chunk for hit in alone] == [hit.chunk for hit in hits]
        assert [hit.score for hit in alone] == pytest.approx([hit.score for hit in hits], abs=1e-5)


def test_a_text_is_nearest_to_itself(retriever: DenseRetriever) -> None:
    assert [hits[0].chunk for hits in retriever.index(TEXTS, SILENT).search(TEXTS, 1)] == list(range(len(TEXTS)))


def test_no_texts_and_no_queries_have_no_hits(retriever: DenseRetriever, tmp_path: Path) -> None:
    index = retriever.index([], SILENT)
    index.save(tmp_path)
    assert retriever.load(tmp_path).search(QUERIES, 3) == [[], [], []]
    assert retriever.index(TEXTS, SILENT).search([], 3) == []


def test_a_query_that_searches_several_indexes_is_encoded_once(
    retriever: DenseRetriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    encode = retriever.encode

    def count_encoded(texts: Sequence[str], kind: Kind) -> Vectors:
        encoded.extend(texts)
        return encode(texts, kind)

    monkeypatch.setattr(retriever, "encode", count_encoded)
    first = retriever.encode_queries(["a horn at dusk", "a horn at dawn"])
    again = retriever.encode_queries(["a horn at dawn", "a horn at dusk", "a horn at dawn"])
    assert encoded == ["a horn at dusk", "a horn at dawn"]
    assert np.array_equal(again, first[[1, 0, 1]])


def test_the_end_of_a_query_beyond_the_limit_counts(retriever: DenseRetriever) -> None:
    assert retriever.count([LONG])[0] > retriever.max_tokens
    cut, whole, longer = retriever.encode_queries([LONG[:400], LONG, LONG + " The horn?"])
    assert np.linalg.norm(longer) == pytest.approx(1, abs=1e-5)
    assert min(np.abs(whole - cut).max(), np.abs(longer - whole).max()) > 1e-5


@pytest.mark.parametrize(
    ("model_id", "query", "document"),
    [
        ("BAAI/bge-small-en-v1.5", "Represent this sentence for searching relevant passages: ", ""),
        ("BAAI/bge-base-zh-v1.5", "为这个句子生成表示以用于检索相关文章：", ""),
        ("intfloat/multilingual-e5-small", "query: ", "passage: "),
        ("some/other", "", ""),
    ],
)
def test_published_prompts_stand_before_queries_and_texts_and_take_their_room(
    tiny_models: Path, model_id: str, query: str, document: str
) -> None:
    ours = DenseRetriever(tiny_models / "embedder", "cpu", model_id)
    plain = DenseRetriever(tiny_models / "embedder", "cpu", "plain")
    np.testing.assert_allclose(ours.encode_queries(["mill"]), plain.encode_queries([query + "mill"]), atol=1e-5)
    assert ours.max_tokens == plain.max_tokens - plain.count([document])[0]
    assert ours.settings() == ({"prompt": document} if document else {})
    hit = ours.index(["a pond", "mill"], SILENT).nearest.search(plain.encode_queries([document + "mill"]), 1)[0][0]
    assert hit.chunk == 1
    assert hit.score == pytest.approx(1, abs=1e-3)


def test_prompts_of_the_model_itself_come_first(tiny_models: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    own = SentenceTransformer(
        str(tiny_models / "embedder"), device="cpu", prompts={"query": "ask: ", "document": "read: "}
    )
    own.save(str(tmp_path))
    ours = DenseRetriever(tmp_path, "cpu", "intfloat/e5-small")
    plain = DenseRetriever(tiny_models / "embedder", "cpu", "plain")
    np.testing.assert_allclose(ours.encode_queries(["mill"]), plain.encode_queries(["ask: mill"]), atol=1e-5)
    assert ours.settings() == {"prompt": "read: "}


def save_with(tiny_models: Path, folder: Path, *modules: Any) -> Path:
    """The tiny encoder's transformer, with other modules behind it, as the library writes it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer

    transformer = Transformer(str(tiny_models / "embedder"), max_seq_length=256)
    SentenceTransformer(modules=[transformer, *modules], device="cpu").save(str(folder))
    return folder


@pytest.mark.parametrize(
    ("modes", "encoder"),
    [("mean", PlainEncoder), ("cls", PlainEncoder), ("max", LibraryEncoder), (("mean", "cls"), LibraryEncoder)],
)
def test_texts_are_encoded_as_the_library_does(
    tiny_models: Path, tmp_path: Path, modes: Any, encoder: type[Encoder]
) -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling

    folder = save_with(tiny_models, tmp_path, Pooling(32, pooling_mode=modes))
    ours, library = open_encoder(folder, "cpu"), LibraryEncoder(folder, "cpu")
    texts = ["  The mill stands at the pond.\n", "mill", "The gates were hung in May. " * 60]
    assert type(ours) is encoder
    assert ours.max_tokens == library.max_tokens
    np.testing.assert_allclose(
        ours.encode(texts, "read: ", "document"), library.encode(texts, "read: ", "document"), atol=1e-6
    )


@pytest.mark.parametrize("mode", ["mean", "cls"])
def test_a_compiled_encoder_gives_nearly_the_vectors_of_the_one_it_was_made_of(
    tiny_models: Path, tmp_path: Path, mode: Any
) -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling

    folder = save_with(tiny_models, tmp_path / "model", Pooling(32, pooling_mode=mode))
    plain, compiled = open_encoder(folder, "cpu"), open_encoder(folder, "cpu", tmp_path)
    texts = ["  The mill stands at the pond.\n", "mill", "The gates were hung in May. " * 60, ""] * READ_AT_ONCE
    assert isinstance(compiled, CompiledEncoder)
    assert (compiled.max_tokens, compiled.special_tokens) == (plain.max_tokens, plain.special_tokens)
    assert compiled.count(texts) == plain.count(texts)
    vectors = compiled.encode(texts, "read: ", "document")
    cosines = (vectors * plain.encode(texts, "read: ", "document")).sum(1)
    assert cosines.min() > 0.99
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    alone = np.concatenate([compiled.encode([text], "read: ", "document") for text in texts])
    assert (vectors * alone).sum(1).min() > 0.999


def test_compiled_vectors_stand_beside_those_of_the_model_itself(tiny_models: Path, tmp_path: Path) -> None:
    source = tiny_models / "embedder"
    plain, compiled = DenseRetriever(source, "cpu", "tiny"), DenseRetriever(source, "cpu", "tiny", kept=tmp_path)
    plain.index(TEXTS[:2], SILENT).save(tmp_path)
    both = compiled.update(compiled.load(tmp_path), TEXTS[:2], TEXTS, SILENT)
    for asked in (plain, compiled):
        vectors = asked.encode_queries(TEXTS)
        assert [hits[0].chunk for hits in both.nearest.search(vectors, 1)] == list(range(len(TEXTS)))
    assert plain.settings() == compiled.settings()


def test_the_common_layout_needs_no_sentence_transformers(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    ours = open_encoder(tiny_models / "embedder", "cpu").encode(["mill"], "", "query")
    assert ours.shape == (1, 32)


def clustered(count: int) -> Vectors:
    random = np.random.default_rng(0)
    centres = random.standard_normal((20, 16))
    vectors = centres[np.arange(count) % 20] + 0.3 * random.standard_normal((count, 16))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def test_search_by_cells_finds_nearly_what_exact_search_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = clustered(4000)
    exact = VectorIndex(vectors, "cpu").search(vectors[:50], 5)
    monkeypatch.setattr("memorag_core.retrieval.vectors.MANY", 4000)
    by_cells = VectorIndex(vectors, "cpu")
    assert "centroids" in by_cells.tensors()
    found = by_cells.search(vectors[:50], 5)
    shared = [len({hit.chunk for hit in a} & {hit.chunk for hit in b}) for a, b in zip(exact, found, strict=True)]
    assert sum(shared) / 250 > 0.9
    assert [hits[0] for hits in found] == [hits[0] for hits in exact]


def test_cells_read_back_give_the_same_hits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memorag_core.retrieval.vectors.MANY", 1)
    vectors = clustered(3000)
    learned = VectorIndex(vectors, "cpu")
    assert VectorIndex.of(learned.tensors(), "cpu").search(vectors[:20], 7) == learned.search(vectors[:20], 7)


@pytest.mark.gpu
@pytest.mark.parametrize("many", [1, 10**9])
def test_the_gpu_finds_what_the_cpu_finds(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memorag_core.retrieval.vectors.MANY", many)
    vectors = clustered(4000)
    learned = VectorIndex(vectors, "cpu")
    on_gpu = VectorIndex.of(learned.tensors(), "cuda").search(vectors[:20], 5)
    assert [[hit.chunk for hit in hits] for hits in on_gpu] == [
        [hit.chunk for hit in hits] for hits in learned.search(vectors[:20], 5)
    ]


def test_indexes_on_a_gpu_share_what_they_work_with(monkeypatch: pytest.MonkeyPatch) -> None:
    class Resources:
        """As of a faiss that knows GPUs."""

        def setTempMemory(self, size: int) -> None:  # noqa: N802  # faiss calls it so
            sizes.append(size)

    def place(resources: Resources, number: int, index: object) -> object:
        placed.append((resources, number))
        return index

    sizes, placed = list[int](), list[tuple[Resources, int]]()
    monkeypatch.setattr(faiss, "StandardGpuResources", Resources, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", place, raising=False)
    _share_resources.cache_clear()
    for device in ("cuda", "cuda:1"):
        VectorIndex(clustered(10), device)
    _share_resources.cache_clear()
    assert sizes == [WORKING_BYTES]
    assert [number for _, number in placed] == [0, 1]
    assert placed[0][0] is placed[1][0]


@pytest.mark.parametrize("damaged", ["model.bin", "tokenizer.json", "config.json"])
def test_a_compiled_encoder_that_is_damaged_is_compiled_again(tiny_models: Path, tmp_path: Path, damaged: str) -> None:
    folder = tiny_models / "embedder"
    before = open_encoder(folder, "cpu", tmp_path).encode(["mill"], "", "query")
    [found] = tmp_path.rglob(damaged)
    found.write_bytes(found.read_bytes()[:7])
    again = open_encoder(folder, "cpu", tmp_path)
    assert isinstance(again, CompiledEncoder)
    np.testing.assert_array_equal(again.encode(["mill"], "", "query"), before)
