"""What the memory model looks at becomes clues with a place, and evidence follows clues and names."""

from __future__ import annotations

from typing import Any

import pytest

from memorag_core import Document, MemoRAG, Settings, from_text
from memorag_core.concurrency.progress import SILENT
from memorag_core.context.corpus import Corpus
from memorag_core.context.encode import cut
from memorag_core.context.section_titles import SectionTitles
from memorag_core.query.search import search
from memorag_core.retrieval.attention import AttentionIndex
from memorag_core.retrieval.base import Hit
from memorag_core.retrieval.bm25 import Bm25Retriever
from memorag_core.retrieval.standard_scores import add_scores
from memorag_core.text.chunking import sections
from memorag_core.types import Chunk, Clue, Place, Recollection

ATTENDED = {"heads": "0:1,1:3", "recall": "attended"}
TOWN = "# Leland\nLeland is a town. Several films, such as Maximum Overdrive, were shot here.\n\n"
FILM = "# Maximum Overdrive (film)\nIt was written and directed by Stephen King.\n\n"
OTHER = "# Harrow\nThe ferry sank in 1953. The films of that summer were poor.\n\n# Overview\nNothing much.\n"
QUESTION = "Which town had films shot in it?"


def words(texts: Any) -> list[int]:
    return [len(text.split()) for text in texts]


def context_of(text: str) -> Corpus:
    """A text that is searched by words alone."""
    document = Document("doc", "doc", text)
    chunks = tuple(cut(document, 30, words))
    index = Bm25Retriever().index([chunk.indexed for chunk in chunks], SILENT)
    return Corpus((document,), chunks, index, None)


@pytest.fixture
def engine(settings: Settings) -> MemoRAG:
    return MemoRAG(settings.model_copy(update=ATTENDED))


def test_clues_by_attention_are_the_texts_own_sentences(engine: MemoRAG) -> None:
    info = engine.memorize([from_text(TOWN + FILM + OTHER)])
    [document] = engine.documents(info.id)
    clues = engine.recall(info.id, QUESTION)
    assert clues
    for clue in clues:
        assert clue.kind == "attended"
        assert clue.place is not None
        assert document.text[clue.place.start : clue.place.end] == clue.text
    found = {name for passage in engine.retrieve(info.id, QUESTION, clues) for name in passage.found_by}
    assert found & {clue.text for clue in clues}


def test_attention_survives_a_restart_and_a_change_of_documents(engine: MemoRAG, settings: Settings) -> None:
    info = engine.memorize([from_text(TOWN, "town")])
    engine.add(info.id, [from_text(FILM, "film")])
    again = MemoRAG(engine.settings)
    assert again.recall(info.id, QUESTION) == engine.recall(info.id, QUESTION)
    assert {clue.place.document_id for clue in again.recall(info.id, QUESTION) if clue.place} == {"town", "film"}


def test_an_echo_of_the_question_is_no_clue(engine: MemoRAG) -> None:
    info = engine.memorize([from_text(f"{QUESTION} Nobody could say.")])
    assert QUESTION not in [clue.text for clue in engine.recall(info.id, QUESTION)]


def test_a_section_that_the_first_evidence_names_is_evidence() -> None:
    context = context_of(TOWN + FILM + OTHER)
    found = search(context, QUESTION, Recollection(), 10)
    [named] = [item for item in found[:2] if context.chunks[item.chunk].title == "Maximum Overdrive (film)"]
    assert "Maximum Overdrive" in named.found_by


def test_a_clue_with_a_place_speaks_for_its_chunk() -> None:
    context = context_of(TOWN + FILM + OTHER)
    start = context.documents[0].text.index("The ferry")
    clue = Clue("The ferry sank in 1953.", "span", Place("doc", start, start + 23))
    assert context.chunk_at(Place("doc", start, start + 23)) == 2
    [found] = [item for item in search(context, "Who was it?", Recollection((clue,)), 10) if item.chunk == 2]
    assert found.found_by == ("The ferry sank in 1953.",)


def test_attention_counts_beside_what_the_question_finds() -> None:
    hits = [Hit(2, 8.0), Hit(0, 7.9), Hit(1, 1.0)]
    assert [hit.chunk for hit in add_scores(hits, {0: 5.0, 1: 5.0, 2: 0.1}, 0.15)] == [0, 2, 1]
    assert [hit.chunk for hit in add_scores(hits, {2: 1.0}, 0.15)] == [2, 0, 1]
    assert [hit.chunk for hit in add_scores(hits, {0: 5.0, 1: 4.0}, 9.0)] == [0, 2, 1], (
        "what is not attended to counts least"
    )


def test_a_question_without_clues_is_asked_without_attention(engine: MemoRAG, monkeypatch: pytest.MonkeyPatch) -> None:
    info = engine.memorize([from_text(TOWN + FILM + OTHER)])
    clues = engine.recall(info.id, QUESTION)
    with_clues = engine.retrieve(info.id, QUESTION, clues)
    engine.shared.recall_cache.clear()
    assert engine.retrieve(info.id, QUESTION, clues) == with_clues, (
        "the attention is the same when it is looked at again"
    )
    monkeypatch.setattr(AttentionIndex, "attend", lambda *_: pytest.fail("looked at"))
    assert engine.retrieve(info.id, QUESTION, ())


def test_a_place_in_no_chunk_speaks_for_none() -> None:
    context = context_of("  \n\n" + TOWN)
    assert context.chunk_at(Place("doc", 0, 1)) is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("He saw Maximum Overdrive twice.", ["Maximum Overdrive"]),
        ("MAXIMUM OVERDRIVE, in Leland", ["MAXIMUM OVERDRIVE", "Leland"]),
        ("a maximum overdrive of the engine", []),
        ("an overview of it", []),
        ("Maximum effort", []),
        ("", []),
    ],
)
def test_sections_are_found_by_their_names(text: str, names: list[str]) -> None:
    chunks = context_of(TOWN + FILM + OTHER).chunks
    assert [link.name for link in SectionTitles(chunks).find_mentions(text)] == names


def test_the_longest_name_wins_and_the_first_of_two_sections() -> None:
    chunks = [Chunk("d", i, i + 1, "x", title) for i, title in enumerate(["Leland", "Leland Mill", "Leland"])]
    assert [(link.name, link.chunk) for link in SectionTitles(chunks).find_mentions("At Leland Mill and Leland")] == [
        ("Leland Mill", 1),
        ("Leland", 0),
    ]


def test_a_heading_starts_a_section_and_one_without_text_joins_the_next() -> None:
    text = "before\n# A #\n```\n# code\n```\n## B\n\n### C\nx\n# D"
    found = [(text[s.start : s.end], s.title) for s in sections(text)]
    assert found == [
        ("before\n", ""),
        ("# A #\n```\n# code\n```\n", "A"),
        ("## B\n\n### C\nx\n", "C"),
        ("# D", "D"),
    ]


def test_a_chunk_is_indexed_under_its_title_once() -> None:
    assert Chunk("d", 0, 1, "It rained.", "Weather").indexed == "Weather\nIt rained."
    assert Chunk("d", 0, 1, "# Weather\nIt rained.", "Weather").indexed == "# Weather\nIt rained."
    assert Chunk("d", 0, 1, "It rained.").indexed == "It rained."
