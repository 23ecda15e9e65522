"""Questions asked of a part of what is memorized: nothing else is found, and what was searched is named."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from conftest import STORY

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.errors import InputError
from memorag_core.query.scope import choose_documents, describe, kind_of
from memorag_core.runtime import Runtime
from memorag_core.types import Document, Scope

QUESTION = "Who kept the gate book?"
PAGES = "Amos kept the gate book on page one.\n\nBrit kept the gate book on page two.\n\nCato kept it on page three."
STARTS = (0, PAGES.index("Brit"), PAGES.index("Cato"))
HELD = [
    Document("old", "Old lease", STORY, "/home/ann/leases/2021/old.PDF", (0, 10), date="2021-03-05"),
    Document("new", "New lease", STORY + "It rains.", "/home/ann/leases/2024/new.pdf", STARTS, date="2024-05-31"),
    Document("note", "A note", "It was dry.", "C:\\ann\\notes\\note.markdown", date="2024-06-01"),
    Document("page", "A page", "It was wet.", "https://harrow.example/ferry/times.html?day=1"),
    Document("said", "Café", "It was cold."),
]


@pytest.mark.parametrize(
    ("scope", "left"),
    [
        (Scope(), "old new note page said"),
        (Scope(documents=("old", "A note", "new.pdf")), "old new note"),
        (Scope(documents=("Cafe\u0301",)), "said"),
        (Scope(folders=("leases",)), "old new"),
        (Scope(folders=("/home/ann/leases/2024/", "notes")), "new note"),
        (Scope(folders=("ann/leases",)), "old new"),
        (Scope(folders=("https://harrow.example",)), "page"),
        (Scope(kinds=("PDF",)), "old new"),
        (Scope(kinds=(".md", "*.htm")), "note page"),
        (Scope(kinds=("txt",)), "said"),
        (Scope(since="2024"), "new note"),
        (Scope(since="2021-03", until="2024-05"), "old new"),
        (Scope(until="2024-05-30"), "old"),
        (Scope(first_page=3), "new"),
        (Scope(last_page=1), "old new"),
        (Scope(kinds=("pdf",), since="2022", first_page=2, last_page=2), "new"),
    ],
)
def test_documents_are_chosen_that_meet_all_of_a_scope(scope: Scope, left: str) -> None:
    assert [document.id for document in choose_documents(scope, HELD)] == left.split()


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        (Scope(documents=("lease",)), "is called 'lease', of 5 .*: new, note, old, page, said"),
        (Scope(documents=("old", "lease")), "no document 'lease'; there are: old, new, note, page, said"),
        (Scope(folders=("ann/2024",)), "in the folder 'ann/2024', .*: .*/home/ann/leases/2021, .*none"),
        (Scope(kinds=("docx",)), "of the kind 'docx', .*: html, md, pdf, txt"),
        (Scope(kinds=("pdf",), since="2025"), "of 2025 or later, of 2 .*: 2021-03-05, 2024-05-31"),
        (Scope(documents=("said",), until="2025"), "of 2025 or earlier, .*: no date"),
        (Scope(first_page=9), "on pages 9 to the last, .*: new, 3 pages, note, no pages"),
        (Scope(since="31.5.2024"), "is no date here; write it as 2024-05-31"),
        (Scope(first_page=5, last_page=3), "no page is between"),
    ],
)
def test_a_scope_that_leaves_nothing_is_an_error_that_says_what_there_is(scope: Scope, told: str) -> None:
    with pytest.raises(InputError, match=told):
        choose_documents(scope, HELD)


def test_what_was_searched_is_named() -> None:
    assert describe(Scope(kinds=("pdf",), last_page=2), HELD) == "2 of 5 documents, on pages 1 to 2: old, new"
    many = [replace(HELD[0], id=f"d{number}") for number in range(30)]
    assert re.search(r"30 of 30 documents: d0, .*, d19 and 10 more", describe(Scope(kinds=("pdf",)), many))


@pytest.mark.parametrize(
    ("source", "kind"),
    [("", "txt"), ("/a/b.tar/Makefile", "txt"), ("/a/.env", "txt"), ("https://h.example/", "txt"), ("a.XLSX", "xlsx")],
)
def test_the_kind_of_a_document_is_the_end_of_its_files_name(source: str, kind: str) -> None:
    assert kind_of(source) == kind


@pytest.fixture
def engine(settings: Settings, shared: Runtime) -> MemoRAG:
    """Over a context of two versions of a text and pages, whose clues come from memory and attention."""
    engine = MemoRAG(settings, shared=shared)
    papers = Document("papers", "Papers", PAGES, "papers.pdf", STARTS)
    versions = [Document("v1", "Log", STORY, "v1/log.md"), Document("v2", "Log", STORY + "It rained.", "v2/log.md")]
    engine.memorize([*versions, papers], name="mill")
    return engine


def test_clues_passages_and_quotes_come_from_the_part_that_is_asked(engine: MemoRAG) -> None:
    scope = Scope(folders=("v2",))
    clues = engine.recall("mill", QUESTION, scope)
    assert {clue.place.document_id for clue in clues if clue.place} <= {"v2"}
    anywhere = engine.recall("mill", QUESTION)
    found = engine.retrieve("mill", QUESTION, anywhere, tokens=5000, scope=scope)
    assert {passage.chunk.document_id for passage in found} == {"v2"}
    answer = engine.answer("mill", QUESTION, scope=scope)
    assert {citation.document_id for citation in answer.citations} == {"v2"}


def test_passages_are_of_the_pages_that_are_asked(engine: MemoRAG) -> None:
    found = engine.retrieve("mill", QUESTION, tokens=5000, scope=Scope(first_page=2, last_page=2))
    assert found
    assert all((passage.page or 9) <= 2 <= (passage.last_page or 0) for passage in found)


def test_several_contexts_are_searched_in_part(engine: MemoRAG) -> None:
    engine.memorize([from_text("Dag kept the gate book of the hill.", "Hill")], name="hill")
    both, scope = ["mill", "hill"], Scope(documents=("v1", "hill/hill"))
    found = engine.retrieve(both, QUESTION, tokens=5000, scope=scope)
    assert {passage.chunk.document_id for passage in found} == {"mill/v1", "hill/hill"}
    assert engine.describe_scope(both, scope) == "2 of 4 documents: mill/v1, hill/hill"


def test_the_memory_alone_cannot_be_asked_for_a_part(engine: MemoRAG) -> None:
    with pytest.raises(InputError, match="answers from all that it has read"):
        engine.answer("mill", QUESTION, "qa", scope=Scope(documents=("v1",)))
