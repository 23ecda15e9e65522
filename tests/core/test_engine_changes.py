"""Documents added to a context and removed from it: nothing is read twice, nothing is lost, nothing else changes."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import STORY
from waits import SECONDS

from memorag_core import Document, MemoRAG, Progress, Settings, from_text
from memorag_core.concurrency.progress import ProgressScope
from memorag_core.errors import Cancelled, InputError, UnknownContext
from memorag_core.generation import LocalGenerator
from memorag_core.retrieval.dense import DenseRetriever
from memorag_core.types import OnProgress, OnText

ROOT = Path(__file__).resolve().parents[2]
OTHER = "The lighthouse log says that the wind went round to the west at noon on Tuesday. Then it rained.\n"
THIRD = "The pilot came aboard off Ardmouth and left again. Nobody wrote down when.\n"
QUESTION = "When were the gates hung?"
ADD_ANOTHER = """
import sys
from memorag_core import MemoRAG, Settings, from_text
def tell(progress):
    print(progress.stage, flush=True)
MemoRAG(Settings.model_validate_json(sys.argv[1])).add("papers", [from_text(sys.argv[2], "pilot")], tell)
"""


@pytest.fixture
def papers(engine: MemoRAG) -> MemoRAG:
    """An engine with one context of one document."""
    engine.memorize([from_text(STORY, "mill")], name="papers")
    return engine


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that the encoder was given to index."""
    texts: list[str] = []
    encode = DenseRetriever._rows

    def counted(self: DenseRetriever, given: list[str], progress: ProgressScope) -> Any:
        texts.extend(given)
        return encode(self, given, progress)

    monkeypatch.setattr(DenseRetriever, "_rows", counted)
    return texts


def ids(engine: MemoRAG) -> list[str]:
    return [document.id for document in engine.info("papers").documents]


def drafts(engine: MemoRAG) -> list[Path]:
    return [path for path in (engine.settings.store / ".work").iterdir() if path.is_dir()]


def test_an_added_document_is_found_and_cited_by_this_engine_and_the_next(papers: MemoRAG, settings: Settings) -> None:
    papers.add("papers", [from_text(OTHER, "light")])
    question = "What does the lighthouse log say of the wind?"
    found = [passage.chunk.document_id for passage in papers.retrieve("papers", question)]
    assert sorted(set(found)) == ["light", "mill"]
    answer = papers.answer("papers", question)
    texts = {document.id: document.text for document in papers.documents("papers")}
    assert all(texts[c.document_id][c.start : c.end] == c.quote for c in answer.citations)
    assert MemoRAG(settings).answer("papers", question) == answer


def test_only_the_chunks_of_added_documents_are_encoded_and_of_removed_ones_none(
    papers: MemoRAG, encoded: list[str]
) -> None:
    papers.add("papers", [from_text(OTHER, "light")])
    assert encoded == [OTHER.strip()]
    encoded.clear()
    papers.remove("papers", "mill")
    assert encoded == []
    assert papers.info("papers").title == "light"


def test_a_text_that_is_there_already_is_not_added_again(papers: MemoRAG, encoded: list[str]) -> None:
    added = papers.add("papers", [from_text(OTHER, "light"), from_text(OTHER, "again")])
    assert (ids(papers), added.cached) == (["mill", "light"], False)
    encoded.clear()
    again = papers.add("papers", [from_text(OTHER, "light"), from_text(STORY, "other")])
    assert (ids(papers), again.cached, encoded) == (["mill", "light"], True, [])


def test_another_text_of_a_taken_id_gets_a_number(papers: MemoRAG) -> None:
    papers.add("papers", [from_text(OTHER, "mill")])
    papers.add("papers", [from_text(THIRD, "mill")])
    assert ids(papers) == ["mill", "mill-2", "mill-3"]


def test_all_texts_memorized_at_once_are_found_in_the_context_they_were_added_to(papers: MemoRAG) -> None:
    papers.add("papers", [from_text(OTHER, "light")])
    info = papers.memorize([from_text(STORY, "mill"), from_text(OTHER, "light")])
    assert (info.id, info.cached) == ("papers", True)
    assert papers.memorize([from_text(STORY, "mill")]).id == "mill"


def test_a_copy_under_another_name_keeps_its_texts(papers: MemoRAG) -> None:
    papers.memorize([from_text(STORY, "mill")], name="copy")
    papers.add("papers", [from_text(OTHER, "light")])
    assert [document.text for document in papers.documents("copy")] == [STORY]
    assert papers.answer("copy", QUESTION).evidence


@pytest.mark.parametrize(
    ("context_id", "document_id", "error", "message"),
    [
        ("papers", "mill", InputError, r"only document of the context 'papers'.*memorag forget papers"),
        ("papers", "light", InputError, r"has no document 'light'; it has: mill"),
        ("letters", "mill", UnknownContext, r"no context 'letters'.*papers"),
    ],
)
def test_what_cannot_be_removed_is_told_before_a_model_is_loaded(
    papers: MemoRAG, settings: Settings, context_id: str, document_id: str, error: type[InputError], message: str
) -> None:
    new = MemoRAG(settings)
    with pytest.raises(error, match=message):
        new.remove(context_id, document_id)
    assert not new.shared.loaded


def test_nothing_to_add_or_too_much_is_refused_before_a_model_is_loaded(papers: MemoRAG, settings: Settings) -> None:
    small = MemoRAG(settings.model_copy(update={"max_characters": len(STORY) + 10}))
    with pytest.raises(InputError, match="nothing to memorize"):
        small.add("papers", [])
    with pytest.raises(InputError, match=r"the limit is \d+ characters"):
        small.add("papers", [from_text(OTHER)])
    assert not small.shared.loaded


def test_an_addition_that_is_cancelled_before_it_can_be_searched_leaves_the_context_as_it_was(papers: MemoRAG) -> None:
    before = papers.info("papers")
    with pytest.raises(Cancelled):
        papers.add("papers", [from_text(OTHER, "light")], cancel_in("indexing"))
    assert papers.info("papers") == before
    assert drafts(papers) == []
    papers.add("papers", [from_text(OTHER, "light")])
    assert ids(papers) == ["mill", "light"]
    assert drafts(papers) == []


def cancel_in(stage: str) -> OnProgress:
    def cancel(progress: Progress) -> None:
        if progress.stage == stage:
            raise Cancelled

    return cancel


def test_progress_of_a_change_goes_forward_to_the_end(papers: MemoRAG) -> None:
    added: list[Progress] = []
    removed: list[Progress] = []
    papers.add("papers", [from_text(OTHER, "light")], added.append)
    papers.remove("papers", "light", removed.append)
    for seen in (added, removed):
        fractions = [progress.fraction for progress in seen]
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1.0


def test_a_question_under_way_ends_with_the_texts_it_began_with(
    papers: MemoRAG, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = MemoRAG(settings, shared=papers.shared)
    generate = LocalGenerator.generate

    def changed_meanwhile(self: LocalGenerator, prompt: str, max_new_tokens: int, on_text: OnText) -> str:
        monkeypatch.setattr(LocalGenerator, "generate", generate)
        other.add("papers", [from_text(OTHER, "light")])
        other.remove("papers", "mill")
        return generate(self, prompt, max_new_tokens, on_text)

    monkeypatch.setattr(LocalGenerator, "generate", changed_meanwhile)
    answer = papers.answer("papers", QUESTION)
    assert answer.citations
    assert all(STORY[c.start : c.end] == c.quote for c in answer.citations)
    assert {passage.chunk.document_id for passage in papers.retrieve("papers", QUESTION)} == {"light"}


def test_a_context_forgotten_while_documents_are_added_stays_forgotten(papers: MemoRAG, settings: Settings) -> None:
    def forget(progress: Progress) -> None:
        if progress.stage == "indexing" and papers.store.ids():
            papers.store.forget("papers")

    with pytest.raises(UnknownContext):
        papers.add("papers", [from_text(OTHER, "light")], forget)
    assert papers.contexts() == []
    assert drafts(papers) == []


def test_two_engines_that_add_at_once_lose_nothing(papers: MemoRAG, settings: Settings) -> None:
    """Two engines on one store hold each other's locks as two processes do."""
    second = MemoRAG(settings)
    begun = threading.Event()
    other = threading.Thread(
        target=second.add, args=("papers", [Document("pilot", "pilot", THIRD)], lambda progress: begun.set())
    )

    def begin_the_other(progress: Progress) -> None:
        if progress.stage == "indexing" and not other.is_alive():
            other.start()
            assert begun.wait(SECONDS)

    papers.add("papers", [from_text(OTHER, "light")], begin_the_other)
    other.join(SECONDS)
    assert ids(papers) == ["mill", "light", "pilot"]
    assert papers.retrieve("papers", QUESTION)


@pytest.mark.slow
def test_two_processes_that_add_at_once_lose_nothing(papers: MemoRAG, settings: Settings) -> None:
    command = [sys.executable, "-c", ADD_ANOTHER, settings.model_dump_json(), THIRD]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "loading models\n"
        papers.add("papers", [from_text(OTHER, "light")])
        other.communicate()
    assert other.returncode == 0
    assert sorted(ids(papers)) == ["light", "mill", "pilot"]
    assert papers.retrieve("papers", QUESTION)
