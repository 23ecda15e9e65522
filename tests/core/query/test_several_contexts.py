"""Several contexts asked at once: found as if they were one, and told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import STORY

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.concurrency.progress import SILENT
from memorag_core.errors import InputError, UnknownContext
from memorag_core.query.search import rate_contexts
from memorag_core.retrieval.bm25 import Bm25Retriever
from memorag_core.text.ids import apart, qualify
from memorag_core.types import Passage

ATTENDED = {"heads": "0:1,1:3", "recall": "attended"}
HILL = (
    "The snow lay on the hill until May. Nobody opened the gate to the upper field.\n\n"
    "The gate book of the mill was brought there for the summer.\n\n"
    "# The mill\nThe mill burned in 1970. The book was saved.\n"
)
QUESTION = "Who kept the gate book of the mill?"
BOTH = ["mill", "hill"]


def engine_with(settings: Settings, **chosen: str | None) -> MemoRAG:
    """Over two contexts and one of both their documents; clues come from attention."""
    engine = MemoRAG(settings.model_copy(update=ATTENDED | chosen))
    story, hill = from_text(STORY * 3, "story"), from_text(HILL * 3, "story")
    engine.memorize([story], name="mill")
    engine.memorize([hill], name="hill")
    engine.memorize([replace(story, id="mill"), replace(hill, id="hill")], name="both")
    return engine


@pytest.fixture
def engine(settings: Settings) -> MemoRAG:
    return engine_with(settings)


def places(passages: tuple[Passage, ...]) -> list[tuple[str, int, tuple[str, ...]]]:
    """Where each stands, by the document of the context that has all of them."""
    ids = [apart(passage.chunk.document_id) for passage in passages]
    found = zip(ids, passages, strict=True)
    return [(context or own, passage.chunk.start, passage.found_by) for (context, own), passage in found]


@pytest.mark.parametrize("retriever", ["dense", "bm25", "hybrid"])
def test_several_contexts_are_asked_as_one_of_all_their_documents(settings: Settings, retriever: str) -> None:
    engine = engine_with(settings, retriever=retriever)
    clues, expected = engine.recall(BOTH, QUESTION), engine.recall("both", QUESTION)
    assert clues
    assert [clue.text for clue in clues] == [clue.text for clue in expected]
    found = places(engine.retrieve(BOTH, QUESTION, clues, tokens=5000))
    whole = places(engine.retrieve("both", QUESTION, expected, tokens=5000))
    assert {context for context, _, _ in found} == set(BOTH)
    assert {(context, start) for context, start, _ in found} == {(context, start) for context, start, _ in whole}


def test_in_each_context_a_word_is_as_rare_as_there_and_the_likely_context_comes_first(settings: Settings) -> None:
    engine = MemoRAG(settings.model_copy(update={"retriever": "bm25", "memory": "none"}))
    about = [f"# Year {year}\nAda Lindqvist wrote to the printer in {year}." for year in range(1901, 1909)]
    about[3] += " Her mother fell ill."
    engine.memorize([from_text("\n\n".join(about), "letters")], name="letters")
    other = [f"# Ward {ward}\nThe mother of number {ward} fell ill and wrote home." for ward in range(8)]
    engine.memorize([from_text("\n\n".join(other), "wards")], name="wards")
    question = "When did Ada Lindqvist's mother fall ill?"
    alone, [first, *_] = engine.retrieve("letters", question), engine.retrieve(["wards", "letters"], question)
    assert "1904" in alone[0].chunk.text
    assert first.chunk.text == alone[0].chunk.text
    rates = rate_contexts(question, [engine.context(name) for name in ("wards", "letters")])
    assert rates[1] > rates[0]


def test_what_is_found_in_several_contexts_names_its_own_to_the_letter(engine: MemoRAG) -> None:
    texts = {qualify(name, d.id): d.text for name in BOTH for d in engine.documents(name)}
    answer = engine.answer(BOTH, QUESTION)
    assert answer.citations
    for citation in answer.citations:
        assert texts[citation.document_id][citation.start : citation.end] == citation.quote
    for passage in answer.evidence:
        assert texts[passage.chunk.document_id][passage.chunk.start : passage.chunk.end] == passage.chunk.text
    for clue in answer.clues:
        assert clue.place
        assert texts[clue.place.document_id][clue.place.start : clue.place.end] == clue.text


def test_one_budget_holds_for_all_of_them(engine: MemoRAG) -> None:
    assert len(engine.retrieve(BOTH, QUESTION, k=3, tokens=5000)) == 3
    assert len(engine.retrieve(BOTH, QUESTION, tokens=16)) == 1


def test_one_context_by_itself_or_twice_is_as_ever(engine: MemoRAG) -> None:
    alone = engine.retrieve("mill", QUESTION)
    assert engine.retrieve(["mill"], QUESTION) == engine.retrieve(["mill", "mill"], QUESTION) == alone
    assert {passage.chunk.document_id for passage in alone} == {"story"}


def test_a_section_named_in_another_context_is_looked_up(settings: Settings) -> None:
    engine = MemoRAG(settings.model_copy(update={"retriever": "bm25"}))
    engine.memorize([from_text("The book of the ferryman was printed at Harrow Sound.", "notes")])
    engine.memorize([from_text("# Harrow Sound\nIt lies in the north.\n\n# Else\nNothing.", "atlas")])
    question = "Where was the ferryman's book printed?"
    assert engine.retrieve("atlas", question) == ()
    named = engine.retrieve(["notes", "atlas"], question)[1]
    assert (named.chunk.document_id, named.found_by) == ("atlas/atlas", ("Harrow Sound",))


def test_clues_by_generation_come_from_every_memory(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_with(settings, heads=None, recall="both")
    said = iter([("Amos kept the gate book every day.", ""), ("", "Who saved the burning book?")])
    monkeypatch.setattr(engine.shared.components.memory, "recall", lambda *_: next(said))
    clues = engine.recall(BOTH, "What became of it?")
    kinds = [(clue.kind, clue.place.document_id if clue.place else None) for clue in clues if clue.kind != "attended"]
    assert kinds == [("span", "mill/story"), ("question", None)]


def test_contexts_of_the_same_text_keep_their_own_clues(engine: MemoRAG) -> None:
    engine.memorize([from_text(HILL, "hill"), from_text(STORY * 3, "renamed")], name="changed")
    engine.remove("changed", "hill")
    for name, document in [("mill", "story"), ("changed", "renamed")]:
        clues = engine.recall(name, QUESTION)
        assert {clue.place.document_id for clue in clues if clue.place} == {document}
        assert engine.retrieve(name, QUESTION, clues)


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ([], InputError, "0 contexts were named; ask 1 to 16"),
        ([f"c{number}" for number in range(17)], InputError, "17 contexts"),
        (["mill", "nowhere"], UnknownContext, "nowhere"),
    ],
)
def test_contexts_that_cannot_be_asked_together_are_told(
    engine: MemoRAG, asked: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        engine.retrieve(asked, QUESTION)


def test_memory_alone_answers_for_one_context_only(engine: MemoRAG) -> None:
    with pytest.raises(InputError, match="for one context"):
        engine.answer(BOTH, QUESTION, "qa")


def test_a_word_is_as_rare_as_in_all_contexts_together() -> None:
    bm25 = Bm25Retriever()
    about = ["gate pin mill", "gate mill pond", "gate horn mill", "gate mill book"]
    other = ["snow hill gate", "snow hill dale", "snow road hill", "snow wood hill"]
    first, second = bm25.index(about, SILENT), bm25.index(other, SILENT)
    whole = bm25.index([*about, *other], SILENT)
    merge = bm25.merge([first, second], [4, 4])
    for query in ("gate", "gate of the book", "snow gate gate", "the", "nothing"):
        [found], [expected] = merge.search([query], 9), whole.search([query], 9)
        assert [hit.chunk for hit in found] == [hit.chunk for hit in expected]
        assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected])
    [alone], [itself] = bm25.merge([first], [4]).search(["gate book"], 9), first.search(["gate book"], 9)
    assert [hit.chunk for hit in alone] == [hit.chunk for hit in itself]
