"""The facade: what is memorized is kept, found again, asked, and forgotten."""

from __future__ import annotations

import json
import resource
import shutil
import threading
from collections.abc import Container
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import STORY
from waits import SECONDS

from memorag_core import MemoRAG, Progress, Settings, from_text
from memorag_core.concurrency.cancellation import cancellable
from memorag_core.config import MANIFEST
from memorag_core.context.encode import key_of
from memorag_core.context.manifest import Manifest, digest
from memorag_core.errors import (
    Cancelled,
    ContextExists,
    DamagedContext,
    IncompatibleContext,
    InputError,
    StoreFull,
    UnknownContext,
)
from memorag_core.generation import LocalGenerator
from memorag_core.memory import MemoryModel
from memorag_core.text.pages import page_of
from memorag_core.types import OnText

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
    assert [progress.stage for progress in seen] == ["loading models"]


def test_the_same_text_with_pages_is_another_context_that_keeps_them(settings: Settings) -> None:
    plain = from_text(STORY, "Mill")
    paged = replace(plain, pages=(0, STORY.index("Amos"), STORY.index("On Monday")), notice="Read by hand.")
    first, second = (MemoRAG(settings).memorize([document]) for document in (plain, paged))
    engine = MemoRAG(settings)
    assert (second.cached, second.documents[0].pages, second.documents[0].notice) == (False, 3, "Read by hand.")
    assert engine.documents(second.id) == (paged,)
    assert {passage.page for passage in engine.retrieve(first.id, "Who kept the book?")} == {None}
    for passage in engine.retrieve(second.id, "Who kept the book?", k=9):
        assert passage.page == page_of(paged.pages, passage.chunk.start)
    citations = engine.answer(second.id, "Who kept the gate book?").citations
    assert citations
    for citation in citations:
        assert citation.page == page_of(paged.pages, citation.start)


def test_a_context_of_a_time_before_pages_is_read(settings: Settings) -> None:
    engine = MemoRAG(settings)
    info = engine.memorize([from_text(STORY, "Mill")])
    path = engine.store.folder(info.id) / MANIFEST
    record = json.loads(path.read_text(encoding="utf-8"))
    for document in record["documents"]:
        del document["pages"], document["notice"]
    path.write_text(json.dumps(record | {"seal": digest(record)}), encoding="utf-8")
    assert MemoRAG(settings).retrieve(info.id, "Who kept the book?")[0].page is None
    assert MemoRAG(settings).damaged() == {}


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


def test_progress_goes_forward_through_its_stages_to_the_end(engine: MemoRAG) -> None:
    seen: list[Progress] = []
    engine.memorize([from_text(STORY * 30, "mill")], on_progress=seen.append)
    fractions = [progress.fraction for progress in seen]
    assert list(dict.fromkeys(progress.stage for progress in seen)) == ["loading models", "indexing", "memorizing"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


@pytest.mark.parametrize(("stage", "left"), [("indexing", []), ("memorizing", ["mill"])])
def test_a_cancelled_memorize_leaves_nothing_but_what_can_be_asked_and_can_be_done_again(
    engine: MemoRAG, stage: str, left: list[str]
) -> None:
    def cancel(progress: Progress) -> None:
        if progress.stage == stage:
            raise Cancelled

    with pytest.raises(Cancelled):
        engine.memorize([from_text(STORY, "mill")], on_progress=cancel)
    assert [info.id for info in engine.contexts() if info.ready == "evidence"] == left
    assert list((engine.settings.store / ".work").glob("[!.]*/")) == []
    again = engine.memorize([from_text(STORY, "mill")])
    assert (again.id, again.ready) == ("mill", "memory")


def test_question_and_clues_are_asked_of_memory_alone_by_qa(engine: MemoRAG) -> None:
    info = engine.memorize([from_text(STORY, "mill")])
    answer = engine.answer(info.id, QUESTION, task="qa")
    assert (answer.task, answer.evidence, answer.citations) == ("qa", (), ())


def test_a_text_is_told_in_pieces_while_it_is_written(engine: MemoRAG) -> None:
    info = engine.memorize([from_text(STORY, "mill")])
    pieces: list[str] = []
    answer = engine.answer(info.id, QUESTION, on_text=pieces.append)
    assert len(pieces) > 1
    from_memory = engine.answer(info.id, QUESTION, "qa", pieces.append)
    summary = engine.summarize(info.id, on_text=pieces.append)
    assert "".join(pieces) == answer.text + from_memory.text + summary.text


def test_a_summary_rests_on_passages_with_citations(engine: MemoRAG) -> None:
    info = engine.memorize([from_text(STORY, "mill")])
    summary = engine.summarize(info.id, focus="the gates", words=20)
    assert summary.task == "summarize"
    assert summary.citations
    quoted = {passage.chunk for passage in summary.evidence}
    for citation in summary.citations:
        assert STORY[citation.start : citation.end] == citation.quote
        assert any(chunk.start <= citation.start and citation.end <= chunk.end for chunk in quoted)


def test_a_summary_of_more_words_rests_on_more_evidence_than_is_shown_at_once(settings: Settings) -> None:
    engine = MemoRAG(settings.model_copy(update={"evidence_tokens": 60}))
    info = engine.memorize([from_text(STORY * 20, "mill")])
    short, long = (engine.summarize(info.id, words=words) for words in (10, 60))
    assert len(long.evidence) > len(short.evidence)
    assert len({passage.chunk for passage in long.evidence}) == len(long.evidence)


def test_the_memorys_own_answer_is_searched_with_on_request(engine: MemoRAG, monkeypatch: pytest.MonkeyPatch) -> None:
    info = engine.memorize([from_text(STORY, "mill")])
    own = "Amos, who kept the gate book"
    monkeypatch.setattr(MemoryModel, "answer", lambda *_: own)
    assert "answer" not in {clue.kind for clue in engine.answer(info.id, QUESTION).clues}
    answer = engine.answer(info.id, QUESTION, use_memory_answer=True)
    [clue] = [clue for clue in answer.clues if clue.kind == "answer"]
    assert clue.place
    assert clue.text == STORY[clue.place.start : clue.place.end] == "Amos kept the gate book every day."
    assert any(clue.text in passage.found_by for passage in answer.evidence)


def test_an_answer_says_whether_the_evidence_bears_it_out(engine: MemoRAG, monkeypatch: pytest.MonkeyPatch) -> None:
    info = engine.memorize([from_text(STORY, "mill")])
    for text, supported in [("In May 1963.", True), ("In June 1871.", False), ("", False)]:
        monkeypatch.setattr(LocalGenerator, "generate", lambda *_, text=text: text)
        answer = engine.answer(info.id, QUESTION)
        assert answer.supported == supported
        assert [claim.text for claim in answer.claims if claim.support == "not found"] == [text] * (
            not supported and bool(text)
        )
        assert all(claim.quotes for claim in answer.claims if claim.support == "borne out")
    assert engine.answer(info.id, QUESTION, "qa").supported is None


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
    with pytest.raises(InputError, match="is empty; ask something"):
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
    assert not small.shared.loaded


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
        thread.join(SECONDS)
    assert sorted(info.id for info in engine.contexts()) == ["light", "mill"]
    assert len(answers) == 6
    assert len(set(answers)) == 2


def test_a_question_that_is_too_long_is_refused_with_the_limit(engine: MemoRAG) -> None:
    info = engine.memorize([from_text(STORY, "mill")])
    with pytest.raises(InputError, match="the limit is 2,000"):
        engine.answer(info.id, "why " * 600)


def test_a_question_keeps_to_the_texts_it_began_with_whatever_others_do(
    engine: MemoRAG, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.memorize([from_text(STORY, "mill")], name="papers")
    other = MemoRAG(settings)
    generate = LocalGenerator.generate

    def replaced_meanwhile(self: LocalGenerator, prompt: str, max_new_tokens: int, on_text: OnText) -> str:
        other.forget("papers")
        other.memorize([from_text(OTHER, "light")], name="papers")
        return generate(self, prompt, max_new_tokens, on_text)

    monkeypatch.setattr(LocalGenerator, "generate", replaced_meanwhile)
    answer = engine.answer("papers", QUESTION)
    assert answer.citations
    assert all(STORY[c.start : c.end] == c.quote for c in answer.citations)
    assert engine.documents("papers")[0].text == OTHER


def test_a_context_forgotten_while_it_is_loaded_is_unknown_not_damaged(
    engine: MemoRAG, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.memorize([from_text(STORY, "mill")])
    verify = Manifest.verify

    def verify_then_lose(self: Manifest, folder: Path, read_later: Container[str] = ()) -> None:
        verify(self, folder, read_later)
        MemoRAG(settings).forget("mill")

    monkeypatch.setattr(Manifest, "verify", verify_then_lose)
    with pytest.raises(UnknownContext, match="no context 'mill'"):
        engine.answer("mill", QUESTION)


@pytest.mark.parametrize("name", ["answer", "summarize", "recall"])
def test_a_question_can_be_stopped_at_its_next_pass_through_the_model(
    engine: MemoRAG, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    info = engine.memorize([from_text(STORY, "mill")])
    engine.answer(info.id, "Warm up?")
    flag = threading.Event()
    flag.set()
    with cancellable(flag), pytest.raises(Cancelled):
        getattr(engine, name)(info.id, QUESTION)
    assert engine.answer(info.id, QUESTION).text is not None


def test_questions_are_answered_while_another_process_memorizes_the_same_text(engine: MemoRAG) -> None:
    """The other process is the holder of the text's lock; who waits for it can be stopped."""
    info = engine.memorize([from_text(STORY, "mill")])
    key = key_of([from_text(OTHER, "light")], engine.store.manifest(info.id).recipe)
    flag = threading.Event()
    outcome: list[BaseException] = []

    def memorize() -> None:
        try:
            with cancellable(flag):
                engine.memorize([from_text(OTHER, "light")])
        except Cancelled as cancelled:
            outcome.append(cancelled)

    with engine.store.writing(key):
        waiting = threading.Thread(target=memorize)
        waiting.start()
        assert engine.answer(info.id, QUESTION).evidence
        flag.set()
        waiting.join(SECONDS)
    assert len(outcome) == 1


def test_a_full_disk_is_told_also_where_it_is_the_tensors_that_do_not_fit(engine: MemoRAG) -> None:
    """A limit on the size of files stands in for a full disk: writing beyond it fails as writing to one does."""
    engine.memorize([from_text(OTHER, "light")])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(StoreFull, match=r"No space is left.*nothing was kept"):
            engine.memorize([from_text(STORY * 20, "mill")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [info.id for info in engine.contexts() if info.ready == "memory"] == ["light"]
    assert engine.damaged() == {}


def test_a_model_folder_whose_weights_changed_is_another_model(settings: Settings, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(str(settings.memory_model), model)
    changed = settings.model_copy(update={"memory_model": str(model)})
    info = MemoRAG(changed).memorize([from_text(STORY, "mill")])
    weights = model / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-4] ^= 64
    weights.write_bytes(data)
    with pytest.raises(IncompatibleContext, match="memory: it has"):
        MemoRAG(changed).answer(info.id, QUESTION)


def test_only_the_contexts_used_last_are_kept_in_memory_within_its_budget(settings: Settings) -> None:
    engine = MemoRAG(settings.model_copy(update={"warm_mib": 1}))
    engine.shared.context_cache.most = 1000  # bytes: less than any context
    mill, light = (engine.memorize([text]).id for text in (from_text(STORY, "mill"), from_text(OTHER, "light")))
    first = engine.context(mill)
    assert engine.context(mill) is first
    engine.context(light)
    assert engine.context(mill) is not first


def test_a_long_memory_kept_in_int8_is_another_context_that_answers_too(settings: Settings) -> None:
    half, int8 = (
        MemoRAG(settings.model_copy(update={"memory": "long", "storage": storage})) for storage in ("half", "int8")
    )
    sizes = [engine.info(engine.memorize([from_text(STORY, "mill")]).id).bytes for engine in (half, int8)]
    assert sizes[1] < sizes[0]
    [_, stored] = MemoRAG(int8.settings).contexts()
    assert MemoRAG(int8.settings).answer(stored.id, QUESTION).evidence
    with pytest.raises(IncompatibleContext, match="int8"):
        half.answer(stored.id, QUESTION)


def test_an_unknown_kind_of_memory_is_refused_with_those_there_are(settings: Settings) -> None:
    with pytest.raises(InputError, match=r"no memory 'elephant'\. Choose one of: lite, beacon, latent, long"):
        MemoRAG(settings.model_copy(update={"memory": "elephant"})).memorize([from_text(STORY, "mill")])
