"""A context without a memory: indexed, and answered from evidence alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import STORY

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.concurrency.progress import SILENT
from memorag_core.errors import IncompatibleContext, InputError
from memorag_core.memory import NoMemory
from memorag_core.text.prompts import ENGLISH

QUESTION = "When were the gates of the mill hung?"


@pytest.fixture
def bare(settings: Settings) -> MemoRAG:
    return MemoRAG(settings.model_copy(update={"memory": "none"}))


def test_evidence_and_citations_need_no_memory(bare: MemoRAG) -> None:
    info = bare.memorize([from_text(STORY, "mill")])
    assert info.memory_tokens == 0
    answer = bare.answer(info.id, QUESTION)
    assert answer.evidence
    assert answer.clues == ()
    assert bare.summarize(info.id, "the gates").evidence


def test_what_only_a_memory_can_answer_is_refused_with_what_to_do(bare: MemoRAG) -> None:
    info = bare.memorize([from_text(STORY, "mill")])
    with pytest.raises(InputError, match="without --memory none"):
        bare.answer(info.id, QUESTION, "qa")


def test_documents_come_and_go(bare: MemoRAG) -> None:
    info = bare.memorize([from_text(STORY, "mill")])
    added = bare.add(info.id, [from_text("The ferry sank in 1953.", "ferry")])
    assert [document.title for document in added.documents] == ["mill", "ferry"]
    assert [document.title for document in bare.remove(info.id, "ferry").documents] == ["mill"]


def test_another_engine_is_told_that_the_context_has_none(bare: MemoRAG, settings: Settings) -> None:
    info = bare.memorize([from_text(STORY, "mill")])
    assert MemoRAG(bare.settings).retrieve(info.id, QUESTION)
    with pytest.raises(IncompatibleContext, match="none"):
        MemoRAG(settings).retrieve(info.id, QUESTION)


def test_nothing_is_recalled_from_nothing(tmp_path: Path) -> None:
    model = NoMemory("some-model", "1")
    memory = model.memorize([], SILENT)
    assert model.recall(memory, QUESTION) == ("", "")
    assert model.key_points(memory, ENGLISH, None) == ""
    model.save(memory, tmp_path)
    assert model.load(tmp_path) == memory
