"""An embedder behind an API, against a real HTTP server: what is asked, what is found, what goes wrong in words."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import ChatServer, Reply, chat_server
from conftest import STORY, tiny_settings
from llama_server import llama_server, write_gguf

from memorag_core import MemoRAG, from_text
from memorag_core.concurrency.progress import SILENT
from memorag_core.errors import EmbeddingError, IncompatibleContext, InputError
from memorag_core.models.api.embeddings import EmbeddingModel
from memorag_core.models.api.server import Limits
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.retrieval.dense_api import TOKENS, ApiRetriever

KEY = "sk-secret-key-7f3a"
SOON = {"Retry-After": "0.001"}
TEXTS = ["The mill stands at the head of the pond.", "Amos kept the gate book.", "水闸", "", "The horn was sounded."]
LONG = " ".join(f"The gate number {number} was hung." for number in range(200))


def embed(text: str, dimension: int = 8) -> list[float]:
    """A vector that no other text has."""
    return [float(value) for value in np.random.default_rng(zlib.crc32(text.encode())).normal(size=dimension)]


def vectors(*rows: Sequence[float]) -> Reply:
    data = [{"index": number, "embedding": list(row), "object": "embedding"} for number, row in enumerate(rows)]
    return as_json({"object": "list", "model": "small", "data": data[::-1]})


def as_json(said: Any) -> Reply:
    return Reply(raw=json.dumps(said).encode(), content="application/json")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A server that embeds, unless it was given replies."""
    with chat_server() as server:
        server.answer = lambda asked: vectors(*map(embed, asked["input"]))
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.address}/v1")
        yield server


def retriever(name: str = "openai:small") -> ApiRetriever:
    return ApiRetriever(EmbeddingModel(name, Limits(retries=2)), "cpu")


def test_texts_are_found_by_vectors_of_the_server_and_an_index_read_back_finds_the_same(
    api: ChatServer, tmp_path: Path
) -> None:
    ours = retriever()
    index = ours.index(TEXTS, SILENT)
    index.save(tmp_path)
    found = index.search(TEXTS, 2)
    assert [hits[0].chunk for hits in found] == list(range(len(TEXTS)))
    assert [hits[0].score for hits in found] == pytest.approx([1.0] * len(TEXTS), abs=2e-3)
    assert ours.load(tmp_path).search(TEXTS, 2) == found
    asked = api.requests[-1]
    assert (asked["path"], asked["headers"]["authorization"]) == ("/v1/embeddings", f"Bearer {KEY}")
    assert (asked["model"], asked["input"][3]) == ("small", " ")
    assert ours.index([], SILENT).search(TEXTS, 2) == [[]] * len(TEXTS)


def test_a_model_behind_the_api_embeds_as_it_does_when_loaded_here(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = LanguageModel.load(tiny_models / "lm", "cpu")
    write_gguf(lm, tmp_path / "tiny.gguf")
    means = []
    for text in TEXTS:
        ids = lm.tokenizer(text or " ", return_tensors="pt", add_special_tokens=False)["input_ids"]
        mean = lm.model.model(ids).last_hidden_state[0].mean(0).detach().numpy()
        means.append(mean / np.linalg.norm(mean))
    with llama_server(tmp_path / "tiny.gguf", KEY, embeds=True) as address:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        assert (
            np.abs(EmbeddingModel("openai:tiny").embed(TEXTS) - np.stack(means)).max() < 1e-3
        )  # its cache has 16 bits


def test_many_texts_take_several_requests_and_only_new_ones_are_asked_again(api: ChatServer) -> None:
    ours = retriever()
    old = [f"Text {number}." for number in range(100)]
    index = ours.index(old, SILENT)
    assert [len(asked["input"]) for asked in api.requests] == [1, 64, 36]
    again = ours.update(index, old, [*old[5:], "New."], SILENT)
    assert [asked["input"] for asked in api.requests[3:]] == [["New."]]
    assert again.search(["New."], 1)[0][0].chunk == 95


def test_a_query_beyond_the_limit_is_sent_in_parts_that_fit(api: ChatServer) -> None:
    ours = retriever("openai:BAAI/bge-small-en-v1.5")
    [vector] = ours.encode_queries([LONG])
    parts = api.requests[-1]["input"]
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert len(parts) > 1
    assert all(part.startswith("Represent this sentence") for part in parts)
    assert max(ours.count(parts)) <= TOKENS + 1
    assert api.requests[-1]["model"] == "BAAI/bge-small-en-v1.5"


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_pass_is_tried_again(api: ChatServer, status: int) -> None:
    ours = retriever()
    api.replies = [Reply(("busy",), status=status, headers=SOON)] * 2
    assert len(ours.encode_queries(["When?"])) == 1


FAULTS = {
    r"answered 429: it was asked more often than it allows \(.*slow down": Reply(
        ("slow down",), status=429, headers=SOON
    ),
    "answered 401: it does not accept the key in OPENAI_API_KEY": Reply((f"wrong key {KEY}",), status=401),
    r"answered 400 \(.*\(key\)": Reply((f"I was told {KEY}",), status=400),
    "answered 307: it is elsewhere": Reply(status=307, headers={"Location": "/elsewhere"}),
    r"sent 2 vectors for 1 texts": vectors([1.0, 0.0], [0.0, 1.0]),
    "sent vectors that point nowhere": vectors([0.0] * 8),
    "sent no vectors that can be read": as_json({"data": [{"index": 0, "embedding": "none"}]}),
    r"sent no vectors that can be read,": as_json([]),
    "gives vectors of 3 numbers now, and gave 8 before": vectors([1.0, 0.0, 0.0]),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_is_told_with_what_to_do(api: ChatServer, message: str) -> None:
    ours = retriever()
    api.replies = [FAULTS[message]] * 3
    with pytest.raises(EmbeddingError, match=message) as told:
        ours.encode_queries(["When?"])
    assert "OPENAI_BASE_URL" in str(told.value)
    assert KEY not in str(told.value)


def test_a_server_that_is_not_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(EmbeddingError, match="could not be reached"):
        EmbeddingModel("openai:small", Limits(retries=0))


def test_a_context_is_answered_with_vectors_of_an_api_and_not_with_those_of_another_dimension(
    api: ChatServer, tiny_models: Path, tmp_path: Path
) -> None:
    settings = tiny_settings(tiny_models, tmp_path).model_copy(update={"embedder": "openai:small", "memory": "none"})
    engine = MemoRAG(settings)
    context = engine.memorize([from_text(STORY, "Mill")]).id
    before = engine.retrieve(context, "When were the gates hung?")
    assert MemoRAG(settings).retrieve(context, "When were the gates hung?") == before
    api.answer = lambda asked: vectors(*(embed(text, 16) for text in asked["input"]))
    with pytest.raises(IncompatibleContext, match="dimension"):
        MemoRAG(settings).retrieve(context, "When were the gates hung?")
    with pytest.raises(InputError, match="choose hybrid or dense"):
        MemoRAG(settings.model_copy(update={"retriever": "bge-m3"})).retrieve(context, "When?")
