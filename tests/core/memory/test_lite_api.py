"""Lite memory behind an API: gists written and asked there, kept here as text, and no language model loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from chat_server import ChatServer, Reply, chat_server
from conftest import LLAMA_KEY, STORY

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.concurrency.progress import SILENT, ProgressScope
from memorag_core.errors import Cancelled, GenerationError, IncompatibleContext
from memorag_core.memory import LiteApiMemory
from memorag_core.models.api.chat import ChatModel
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.text.prompts import ENGLISH
from memorag_core.types import Document, Progress

QUESTION = "When were the gates hung?"
KEY = "sk-secret-key-7f3a"
OTHER = "The lighthouse log says that the wind went round to the west at noon on Tuesday. Then it rained."
BOOK = [Document("mill", "Mill", STORY.strip()), Document("light", "Light", OTHER)]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    with chat_server() as server:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.address}/v1")
        yield server


def asked(api: ChatServer) -> list[str]:
    return [request["messages"][0]["content"] for request in api.requests]


def test_every_part_is_condensed_by_the_api_and_questions_are_asked_over_all_gists(api: ChatServer) -> None:
    api.replies = [Reply((name,)) for name in ("The mill.", "The light.", "A span.", "A question?")]
    model = LiteApiMemory(ChatModel("openai:small"), chunk=200, gist=8)
    memory = model.memorize(BOOK, SILENT)
    assert asked(api) == [ENGLISH.gist.format(text=text) for text in (STORY.strip(), OTHER)]
    assert model.recall(memory, QUESTION) == ("A span.", "A question?")
    gists = ENGLISH.memory.format(gists="The mill.\n\nThe light.")
    assert asked(api)[2] == f"{gists}\n\n{ENGLISH.spans.format(question=QUESTION)}"
    assert [note["gist"] for note in memory.notes["gists"]] == ["The mill.", "The light."]
    assert memory.tokens >= len(gists.split())


def test_a_document_more_is_all_that_is_sent(api: ChatServer) -> None:
    api.replies = [Reply(("The mill.",)), Reply(("The light.",))]
    model = LiteApiMemory(ChatModel("openai:small"), chunk=200, gist=8)
    memory = model.update(model.memorize(BOOK[:1], SILENT), BOOK[:1], BOOK, SILENT)
    assert len(api.requests) == 2
    api.replies = [Reply(("The mill.",)), Reply(("The light.",))]
    assert model.memorize(BOOK, SILENT) == memory


def test_a_memory_is_kept_as_text_and_read_back(api: ChatServer, tmp_path: Path) -> None:
    api.replies = [Reply(("磨坊。",)), Reply(("The light.",))]
    model = LiteApiMemory(ChatModel("openai:small"), chunk=200, gist=8)
    memory = model.memorize(BOOK, SILENT)
    model.save(memory, tmp_path)
    assert model.load(tmp_path) == memory
    assert [path.name for path in tmp_path.iterdir()] == ["memory.json"]


def test_memorizing_can_be_stopped_between_requests(api: ChatServer) -> None:
    api.replies = [Reply(("The mill.",))]

    def stop(progress: Progress) -> None:
        if progress.done == 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        LiteApiMemory(ChatModel("openai:small"), chunk=200, gist=8).memorize(BOOK, ProgressScope(stop))
    assert len(api.requests) == 1


@pytest.fixture
def remote(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> MemoRAG:
    """An engine whose language models are all behind the API; one that is loaded here fails the test."""

    def fail(*_: object) -> None:
        raise AssertionError("a language model was loaded")

    monkeypatch.setattr(LanguageModel, "load", fail)
    return MemoRAG(settings.model_copy(update={"memory_model": "openai:tiny", "generator": "memory"}))


@pytest.mark.usefixtures("llama")
def test_with_an_api_as_its_memory_model_an_engine_loads_no_language_model(remote: MemoRAG) -> None:
    info = remote.memorize([from_text(STORY * 3, "mill")])
    assert info.models["memory"] == "openai:tiny"
    assert info.memory_tokens > 0
    answer = remote.answer(info.id, QUESTION)
    assert all((STORY * 3)[c.start : c.end] == c.quote for c in answer.citations)
    assert MemoRAG(remote.settings).answer(info.id, QUESTION, "qa").text == remote.answer(info.id, QUESTION, "qa").text
    assert remote.summarize(info.id).text
    recipe = json.loads((remote.store.folder(info.id) / "manifest.json").read_text())["recipe"]["memory"]
    assert (recipe["kind"], recipe["model"]) == ("lite-api", "openai:tiny")
    stored = [path.read_bytes() for path in remote.store.folder(info.id).rglob("*") if path.is_file()]
    assert LLAMA_KEY.encode() not in b"".join(stored)


@pytest.mark.usefixtures("llama")
def test_a_context_of_one_api_model_is_not_asked_with_another(remote: MemoRAG) -> None:
    info = remote.memorize([from_text(STORY, "mill")])
    other = MemoRAG(remote.settings.model_copy(update={"memory_model": "openai:other"}))
    with pytest.raises(IncompatibleContext, match="openai:other"):
        other.answer(info.id, QUESTION)


def test_an_api_that_fails_while_a_text_is_memorized_leaves_what_can_be_searched(
    api: ChatServer, remote: MemoRAG
) -> None:
    api.replies = [Reply(("no such model",), status=404)]
    with pytest.raises(GenerationError, match="no such model"):
        remote.memorize([from_text(STORY * 3, "mill")])
    assert [info.ready for info in remote.contexts()] == ["evidence"]
