"""Answers get quotes that are in the text."""

from __future__ import annotations

import pytest

from memorag_core.query.citations import cite
from memorag_core.text.source_text import SourceText
from memorag_core.types import Chunk, Citation, Document, Passage

QUESTION = "Who hung the gates of the mill?"
TEXT = (
    "The mill stands at the head of the pond. Amos Reed hung its gates in May 1963. The horn was sounded every night.\n"
)
MILL = Document("mill", "The mill", TEXT)


def cited(answer: str, question: str, passages: list[Passage], documents: list[Document]) -> tuple[Citation, ...]:
    return cite(answer, question, passages, SourceText(documents, [passage.chunk for passage in passages]), most=9)


def passage(document: Document, start: int = 0, end: int | None = None) -> Passage:
    end = len(document.text) if end is None else end
    return Passage(Chunk(document.id, start, end, document.text[start:end]), 1.0, ("q",))


def test_every_quote_is_cut_from_its_document_at_its_offsets() -> None:
    documents = [MILL, Document("zh", "变法", "王安石变法。 司马光反对新法。苏轼被贬。")]
    found = cited("The mill; 司马光", "王安石变法", [passage(document) for document in documents], documents)
    texts = {document.id: document for document in documents}
    assert {citation.document_id for citation in found} == {"mill", "zh"}
    for citation in found:
        assert citation.quote == texts[citation.document_id].text[citation.start : citation.end]
        assert citation.title == texts[citation.document_id].title


@pytest.mark.parametrize(
    ("answer", "question", "quote"),
    [
        ("Amos Reed", QUESTION, "Amos Reed hung its gates in May 1963."),
        ("every night", "When was the horn sounded?", "The horn was sounded every night."),
        ("It stands at the head of the pond.", "Where is the mill?", "The mill stands at the head of the pond."),
    ],
)
def test_the_sentence_that_holds_the_answer_is_cited_first(answer: str, question: str, quote: str) -> None:
    assert cited(answer, question, [passage(MILL)], [MILL])[0].quote == quote


def test_only_the_passages_given_are_cited_from() -> None:
    end = TEXT.index("Amos")
    found = cited("Amos Reed hung its gates by the pond.", QUESTION, [passage(MILL, 0, end)], [MILL])
    assert [citation.quote for citation in found] == ["The mill stands at the head of the pond."]


@pytest.mark.parametrize("answer", ["Zebras graze", "", "？"])
def test_nothing_is_cited_when_nothing_is_shared(answer: str) -> None:
    assert cited(answer, "Why?", [passage(MILL)], [MILL]) == ()


def test_nothing_is_cited_without_evidence() -> None:
    assert cited("Amos Reed", QUESTION, [], []) == ()
