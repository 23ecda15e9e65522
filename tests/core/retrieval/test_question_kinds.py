"""Broad questions are told from others by the examples that they are nearest to, whatever the retriever."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.query.query import Query
from memorag_core.query.search import search
from memorag_core.retrieval.bm25 import Bm25Retriever
from memorag_core.retrieval.question_kinds import BROAD, DETAILED, QuestionKinds
from memorag_core.types import Recollection

KINDS = QuestionKinds(Bm25Retriever())


def _meeting() -> str:
    """Sixty turns, a word of the ferry in passing and then a long stretch about it."""
    turns = ["so we talk of other things today, of oats and hay. " * 8] * 60
    turns[10] = "The ferry, the ferry! " * 9
    turns[40:46] = ["The ferry is old. It needs an engine before the winter comes. " * 6] * 9
    return "\n".join(f"{'AB'[number % 2]}: {turn}" for number, turn in enumerate(turns))


MEETING = _meeting()


@pytest.mark.parametrize(
    ("question", "broad"),
    [
        ("Summarize the discussion of the new ferry", True),
        ("What did the captain think about the ferry?", True),
        ("When did the ferry sail?", False),
        ("关于渡轮，他们最后决定了什么？", True),
        ("渡轮是什么时候发生故障的？", False),
        ("¿Qué se decidió sobre el barco?", True),
        ("Wie viele Fähren waren es?", False),
        ("ferry", False),
    ],
)
def test_a_question_is_of_the_kind_of_the_example_it_is_nearest_to(question: str, broad: bool) -> None:
    assert KINDS.is_broad(question) is broad


def test_no_example_is_of_both_kinds_and_each_is_of_its_own() -> None:
    kinds = {False: DETAILED.strip().splitlines(), True: BROAD.strip().splitlines()}
    assert not {*kinds[False]} & {*kinds[True]}
    assert all(KINDS.is_broad(example) is kind for kind, examples in kinds.items() for example in examples)


@pytest.mark.parametrize(("question", "broad"), [("What was said about the ferry?", True), ("Who was ferry?", False)])
def test_a_broad_question_about_a_meeting_is_searched_for_by_stretches(
    settings: Settings, question: str, broad: bool
) -> None:
    engine = MemoRAG(settings.model_copy(update={"retriever": "bm25", "memory": "none"}))
    meeting = engine.context(engine.memorize([from_text(MEETING, "meeting")]).id)
    ways = [
        [item.chunk for item in search(meeting, question, Recollection(broad=way), 6)] for way in (broad, not broad)
    ]
    found = [passage.chunk for passage in engine.retrieve(meeting.id, question, k=6, tokens=2000)]
    assert found == [meeting.chunks[number] for number in ways[0]][: len(found)]
    assert found != [meeting.chunks[number] for number in ways[1]][: len(found)]


@pytest.mark.parametrize(("question", "asked"), [("What was said about the ferry?", 0), ("Who was ferry?", 1)])
def test_attention_stays_out_of_broad_questions(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, question: str, asked: int
) -> None:
    engine = MemoRAG(settings.model_copy(update={"retriever": "bm25", "memory": "none"}))
    meeting = engine.memorize([from_text(MEETING, "meeting")])
    attend = Mock(return_value=())
    monkeypatch.setattr(Query, "_attention", attend)
    engine.retrieve(meeting.id, question)
    assert attend.call_count == asked
