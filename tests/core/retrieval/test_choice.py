"""Which retriever the settings open, and that a context keeps to it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import STORY

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.config import PROFILES
from memorag_core.errors import IncompatibleContext, InputError, ModelUnavailable

QUESTION = "When were the gates hung?"


def with_retriever(settings: Settings, name: str) -> MemoRAG:
    return MemoRAG(settings.model_copy(update={"retriever": name}))


def test_a_context_is_found_in_by_the_retriever_it_was_made_with(settings: Settings) -> None:
    engine = with_retriever(settings, "bm25")
    info = engine.memorize([from_text(STORY, "The mill")])
    assert info.models["embedder"] == "bm25"
    again = with_retriever(settings, "bm25")
    assert "May 1963" in again.retrieve(info.id, QUESTION)[0].chunk.text
    with pytest.raises(IncompatibleContext, match=r"embedder: it has .*bm25"):
        with_retriever(settings, "dense").retrieve(info.id, QUESTION)


def test_an_unknown_retriever_is_refused_with_those_there_are(settings: Settings) -> None:
    with pytest.raises(InputError, match=r"no retriever 'bm52'\. Choose one of: hybrid, dense, bge-m3, bm25"):
        with_retriever(settings, "bm52").memorize([from_text(STORY, "The mill")])


def test_an_embedder_that_is_not_bge_m3_is_refused_by_its_retriever(settings: Settings) -> None:
    with pytest.raises(ModelUnavailable, match="not BGE-M3"):
        with_retriever(settings, "bge-m3").memorize([from_text(STORY, "The mill")])


@pytest.mark.parametrize("name", ["hybrid", "dense"])
def test_no_chunk_under_its_title_is_longer_than_the_embedder_reads(
    settings: Settings, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROFILES, settings.profile, replace(PROFILES[settings.profile], chunk=512))
    engine = with_retriever(settings, name)
    heading = "Of the gates, the gate book and the pins of the mill, in the order of their weights"
    info = engine.memorize([from_text("\n\n".join(f"# {heading}\n{'gate pin ' * 300}" for _ in range(3)))])
    retriever = engine.shared.components.retriever
    tokens = retriever.count([chunk.indexed for chunk in engine.chunks(info.id)])
    assert retriever.max_tokens * 2 / 3 < max(tokens) <= retriever.max_tokens
