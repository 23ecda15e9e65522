"""The facade: what is memorized is kept, found again, asked, and forgotten."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
from conftest import STORY

from memorag_core import MemoRAG, Progress, Settings, from_text
from memorag_core.errors import (
    Cancelled,
    ContextExists,
    DamagedContext,
    IncompatibleContext,
    InputError,
    UnknownContext,
)

OTHER = "The lighthouse log says that the wind went round to the west at noon on Tuesday. Then it rained.\n"
QUESTION = "When were the gates hung?"


def test_a_memorized_text_is_listed_with_what_it_holds(engine: MemoRAG) -> None:
    info = engine.memorize([from_text(STORY, "The mill")])
    assert engine.contexts() == [info]
    assert (info.id, info.title, info.cached) == ("the-mill", "The mill", False)
    assert info.documents[0].characters == len(STORY)
    assert info.bytes > 0


def test_every_passage_and_citation_is_cut_from_the_text_at_its_offsets(engine: MemoRAG) -> None:
    info = engine.memorize([from_text(STORY, "mill"), from_text(OTHER, "light")])
    texts = {document.id: document.text for document in engine.documents(info.id)}
    answer = engine.answer(info.id, QUESTION)
    assert answer.evidence
    for passage in answer.evidence:
        chunk = passage.chunk
        assert texts[chunk.document_id][chunk.start : chunk.end] == chunk.text
        assert passage.found_by
    assert answer.citations
    for citation in answer.citations:
        assert texts[citation.document_id][citation.start : citation.end] == citation.quote


def test_the_same_text_again_is_a_cache_hit_under_the_same_id(engine: MemoRAG) -> None:
    first = engine.memorize([from_text(STORY, "mill")])
    seen: list[Progress] = []
    again = engine.memorize([from_text(STORY, "mill")], on_progress=seen.append)
    assert again.cached
    assert again.id == first.id
    assert seen == []


def test_the_same_text_under_another_name_is_not_encoded_again(engine: MemoRAG) -> None:
    engine.memorize([from_text(STORY, "mill")])
    named = engine.memorize([from_text(STORY, "mill")], name="Second Name")
    assert (named.id, named.cached) == ("second-name", True)
    engine.forget("mill")
    assert engine.retrieve("second-name", QUESTION)


def test_a_name_that_holds_something_else_is_refused_and_kept(engine: MemoRAG) -> None:
    engine.memorize([from_text(STORY)], name="papers")
    with pytest.raises(ContextExists, match="Choose another name"):
        engine.memorize([from_text(OTHER)], name="papers")
    assert engine.documents("papers")[0].text == STORY


def test_a_new_engine_on_the_store_answers_as_the_first_did_without_encoding(settings: Settings) -> None:
    first = MemoRAG(settings)
    info = first.memorize([from_text(STORY, "mill")])
    answer = first.answer(info.id, QUESTION)
    assert MemoRAG(settings).answer(info.id, QUESTION) == answer


def test_progress_goes_forward_from_indexing_to_the_end(engine: MemoRAG) -> None:
    seen: list[Progress] = []
    engine.memorize([from_text(STORY * 30, "mill")], on_progress=seen.append)
    fractions = [progress.fraction for progress in seen]
    assert seen[0].stage == "indexing"
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


@pytest.mark.parametrize("stage", ["indexing", "memorizing"])
def test_a_cancelled_memorize_leaves_nothing_and_can_be_done_again(engine: MemoRAG, stage: str) -> None:
    def cancel(progress: Progress) -> None:
        if progress.stage == stage:
            raise Cancelled

    with pytest.raises(Cancelled):
        engine.memorize([from_text(STORY, "mill")], on_progress=cancel)
    assert engine.contexts() == []
    assert list((engine.settings.store / ".work").glob("[!.]*/")) == []
    assert engine.memorize([from_text(STORY, "mill")]).id == "mill"


def test_question_and_clues_are_asked_of_memory_alone_by_qa(engine: MemoRAG) -> None:
    info = engine.memorize([from_text(STORY, "mill")])
    answer = engine.answer(info.id, QUESTION, task="qa")
    assert (answer.task, answer.evidence, answer.citations) == ("qa", (), ())


def test_a_summary_rests_on_passages_with_citations(engine: MemoRAG) -> None:
    info = engine.memorize([from_text(STORY, "mill")])
    summary = engine.summarize(info.id, focus="the gates", words=20)
    assert summary.task == "summarize"
    assert summary.evidence


def test_evidence_keeps_to_k_and_to_the_token_budget_but_shows_at_least_one(engine: MemoRAG) -> None:
    info = engine.memorize([from_text(STORY * 40, "mill")])
    assert len(engine.retrieve(info.id, QUESTION, k=2, tokens=5000)) == 2
    assert len(engine.retrieve(info.id, QUESTION, tokens=16)) == 1


def test_no_passage_comes_twice_however_many_clues_find_it(engine: MemoRAG) -> None:
    info = engine.memorize([from_text(STORY * 10, "mill")])
    clues = engine.recall(info.id, QUESTION)
    chunks = [passage.chunk for passage in engine.retrieve(info.id, QUESTION, clues, k=50, tokens=9000)]
    assert len(chunks) == len(set(chunks))


@pytest.mark.parametrize("k", [0, -1, 1_000_000])
def test_a_k_out_of_range_is_refused_with_the_range(engine: MemoRAG, k: int) -> None:
    info = engine.memorize([from_text(STORY, "mill")])
    with pytest.raises(InputError, match="choose a number from 1 to 1,000"):
        engine.retrieve(info.id, QUESTION, k=k)


def test_an_empty_question_is_refused(engine: MemoRAG) -> None:
    info = engine.memorize([from_text(STORY, "mill")])
    with pytest.raises(InputError, match="question is empty"):
        engine.answer(info.id, "  ")


def test_an_unknown_context_is_told_with_those_there_are(engine: MemoRAG) -> None:
    engine.memorize([from_text(STORY, "mill")])
    with pytest.raises(UnknownContext, match=r"no context 'mine'.*mill"):
        engine.answer("mine", QUESTION)


def test_nothing_to_memorize_or_too_much_is_refused_before_a_model_is_loaded(settings: Settings) -> None:
    small = MemoRAG(settings.model_copy(update={"max_characters": 10}))
    with pytest.raises(InputError, match="nothing to memorize"):
        small.memorize([])
    with pytest.raises(InputError, match="the limit is 10 characters"):
        small.memorize([from_text(STORY)])
    assert "_parts" not in vars(small)


@pytest.mark.parametrize("file", ["memory.safetensors", "vectors.safetensors", "documents/mill.txt", "chunks.json"])
def test_a_flipped_byte_in_any_file_is_found_before_it_is_used(settings: Settings, file: str) -> None:
    info = MemoRAG(settings).memorize([from_text(STORY, "mill")])
    path = settings.store / info.id / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedContext, match=f"{file} does not match its checksum.*memorize it again"):
        MemoRAG(settings).answer(info.id, QUESTION)


def test_a_damaged_context_does_not_hide_the_others_and_can_be_replaced(settings: Settings) -> None:
    engine = MemoRAG(settings)
    engine.memorize([from_text(STORY, "mill")])
    engine.memorize([from_text(OTHER, "light")])
    (settings.store / "mill" / "manifest.json").write_text("{", encoding="utf-8")
    assert [info.id for info in engine.contexts()] == ["light"]
    assert list(engine.damaged()) == ["mill"]
    engine.forget("mill")
    assert engine.memorize([from_text(STORY, "mill")]).id == "mill"


def test_a_context_of_other_models_is_told_apart_and_not_answered_from(settings: Settings, tmp_path: Path) -> None:
    info = MemoRAG(settings).memorize([from_text(STORY, "mill")])
    other = tmp_path / "other-embedder"
    shutil.copytree(str(settings.embedder), other)
    with pytest.raises(IncompatibleContext, match="embedder: it has"):
        MemoRAG(settings.model_copy(update={"embedder": str(other)})).answer(info.id, QUESTION)


def test_many_threads_on_one_engine_get_whole_contexts_and_equal_answers(settings: Settings) -> None:
    engine = MemoRAG(settings)
    texts = [from_text(STORY, "mill"), from_text(OTHER, "light")]
    answers: list[str] = []

    def work(number: int) -> None:
        info = engine.memorize([texts[number % 2]])
        answers.append(f"{info.id} {engine.answer(info.id, QUESTION).text}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(info.id for info in engine.contexts()) == ["light", "mill"]
    assert len(answers) == 6
    assert len(set(answers)) == 2


def test_only_the_contexts_used_last_are_kept_in_memory(settings: Settings) -> None:
    engine = MemoRAG(settings.model_copy(update={"warm_contexts": 1}))
    mill, light = (engine.memorize([text]).id for text in (from_text(STORY, "mill"), from_text(OTHER, "light")))
    first = engine.context(mill)
    assert engine.context(mill) is first
    engine.context(light)
    assert engine.context(mill) is not first
