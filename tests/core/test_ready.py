"""A context is searched as soon as it is indexed; its memory follows, and nothing that was finished is done twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import STORY

from memorag_core import MemoRAG, Progress, Settings, from_text
from memorag_core.concurrency.journal import Form, Journal
from memorag_core.concurrency.progress import ProgressScope
from memorag_core.config import MANIFEST
from memorag_core.context.manifest import digest
from memorag_core.errors import Cancelled, Interrupted, MemoryNotReady
from memorag_core.memory import LiteMemory
from memorag_core.retrieval.attention import AttentionIndexer
from memorag_core.retrieval.dense import VectorRetriever
from memorag_core.text.standing import BEFORE_PATHS, BEFORE_TURNS, Standing
from memorag_core.types import ContextInfo, OnProgress

OTHER = "The lighthouse log says that the wind went round to the west at noon on Tuesday. Then it rained.\n"
QUESTION = "When were the gates hung?"
LONG = "\n\n".join(f"In year {number} {STORY}" for number in range(60))


def stop_in(stage: str, error: type[Exception] = Interrupted, after: int = 0) -> OnProgress:
    """Stop work at a step of a stage, as if its process ended, or as it is cancelled."""
    seen = 0

    def stop(progress: Progress) -> None:
        nonlocal seen
        if progress.stage == stage:
            seen += 1
            if seen > after:
                raise error

    return stop


@pytest.fixture
def heads(settings: Settings) -> MemoRAG:
    """An engine that recalls by attention too."""
    return MemoRAG(settings.model_copy(update={"heads": "1:2"}))


@pytest.fixture
def half(heads: MemoRAG) -> MemoRAG:
    """An engine with a context whose memory is not made."""
    with pytest.raises(Cancelled):
        heads.memorize([from_text(STORY, "mill")], on_progress=stop_in("memorizing", Cancelled))
    return heads


def test_a_context_is_asked_before_its_memory_is_made(heads: MemoRAG) -> None:
    asked: list[ContextInfo] = []

    def ask(info: ContextInfo) -> None:
        asked.append(info)
        assert heads.contexts() == [info]
        assert heads.documents(info.id)[0].text == STORY
        assert heads.retrieve(info.id, QUESTION)
        for answer in (heads.answer(info.id, QUESTION), heads.summarize(info.id)):
            assert answer.citations
            assert answer.without_memory

    info = heads.memorize([from_text(STORY, "mill")], on_ready=ask)
    assert [one.ready for one in asked] == ["evidence"]
    assert (info.ready, info.cached) == ("memory", False)
    assert not heads.answer(info.id, QUESTION).without_memory
    assert heads.recall(info.id, QUESTION)


def test_what_needs_the_memory_says_that_it_is_not_made_or_has_it_made(half: MemoRAG) -> None:
    assert half.recall("mill", QUESTION) == ()
    with pytest.raises(MemoryNotReady, match="not made yet"):
        half.answer("mill", QUESTION, "qa")
    assert half.complete("mill").ready == "memory"
    assert half.answer("mill", QUESTION, "qa").text is not None
    assert half.recall("mill", QUESTION)


def test_contexts_with_and_without_memory_are_asked_as_one(half: MemoRAG) -> None:
    half.memorize([from_text(OTHER, "light")])
    question = "What does the log say of the wind?"
    clues = half.recall(["mill", "light"], question)
    places = {clue.place.document_id for clue in clues if clue.place}
    assert places == {"light/light"}
    assert half.answer(["mill", "light"], question).without_memory


def test_the_same_text_memorized_again_gets_its_memory_under_every_name(half: MemoRAG) -> None:
    named = half.memorize([from_text(STORY, "mill")], name="twin")
    assert (named.id, named.ready, named.cached) == ("twin", "memory", False)
    assert [info.ready for info in half.contexts()] == ["memory", "memory"]
    assert half.memorize([from_text(STORY, "mill")]).cached


def test_a_changed_context_is_searched_at_once_and_its_old_memory_is_kept_for_the_new_one(
    heads: MemoRAG, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads.memorize([from_text(LONG, "mill")], name="papers")
    read = texts_read(monkeypatch)
    with pytest.raises(Cancelled):
        heads.add("papers", [from_text(OTHER, "light")], stop_in("memorizing", Cancelled))
    assert heads.info("papers").ready == "evidence"
    assert [d.id for d in heads.documents("papers")] == ["mill", "light"]
    assert "light" in {p.chunk.document_id for p in heads.retrieve("papers", "What does the lighthouse log say?")}
    with pytest.raises(Interrupted):
        heads.add("papers", [from_text("A third text, of nothing.", "third")], stop_in("memorizing"))
    assert MemoRAG(heads.settings).complete("papers").ready == "memory"
    assert sum(STORY[:40] in text for text in read) == 0, "what the memory held is not read again"
    assert list((heads.settings.store / ".work").glob("[!.]*/")) == []


def texts_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that models are given to read while memorizing."""
    read: list[str] = []

    def count(kind: type, name: str) -> None:
        real: Callable[..., object] = getattr(kind, name)

        def counted(self: object, texts: Sequence[str], **rest: object) -> object:
            read.extend(f"{name} {text}" for text in texts)
            return real(self, texts, **rest)

        monkeypatch.setattr(kind, name, counted)

    count(VectorRetriever, "_encode_batch")
    count(AttentionIndexer, "_read_batch")
    count(LiteMemory, "_write_gists")
    return read


@pytest.mark.parametrize(("stage", "after"), [("indexing", 3), ("memorizing", 2), ("memorizing", 60)])
def test_interrupted_work_goes_on_at_the_last_batch_and_ends_as_if_undisturbed(
    heads: MemoRAG, monkeypatch: pytest.MonkeyPatch, stage: str, after: int
) -> None:
    undisturbed = MemoRAG(heads.settings.model_copy(update={"store": heads.settings.store / "other"}))
    expected = undisturbed.memorize([from_text(LONG, "mill")])
    read = texts_read(monkeypatch)
    with pytest.raises(Interrupted):
        heads.memorize([from_text(LONG, "mill")], on_progress=stop_in(stage, after=after))
    first = list(read)
    info = MemoRAG(heads.settings).memorize([from_text(LONG, "mill")])
    again = [text for text in read[len(first) :] if text in first]
    assert len(again) <= 16, "more than the batch that was broken off"
    names = ("vectors.safetensors", "attention.safetensors", "memory.json", "memory.safetensors")
    for name in names:
        whole = undisturbed.store.folder(expected.id) / name
        assert (heads.store.folder(info.id) / name).read_bytes() == whole.read_bytes()
    assert list((heads.settings.store / ".work").glob("[!.]*/")) == []


@pytest.mark.parametrize("chunking", [BEFORE_PATHS, BEFORE_TURNS])
def test_a_context_of_an_earlier_time_is_asked_and_changed_and_keeps_its_own_chunks(
    heads: MemoRAG, monkeypatch: pytest.MonkeyPatch, chunking: str
) -> None:
    of = Standing.of
    monkeypatch.setattr(Standing, "of", lambda document, _: of(document, chunking))
    talk = "\n".join([f"Amos: {STORY.strip()}", f"Ida: {OTHER}"] * 6)
    text = f"# Mill\n\n## Gates\n\n{STORY}\n\n## Light\n\n{OTHER}\n\n## Talk\n\n{talk}"
    info = heads.memorize([from_text(text, "mill")])
    path = heads.store.folder(info.id) / MANIFEST
    record = json.loads(path.read_text(encoding="utf-8"))
    monkeypatch.undo()
    del record["ready"]
    record["recipe"]["chunking"] = chunking
    record["recipe"]["embedder"]["with"][0]["revision"] = "1"
    path.write_text(json.dumps(record | {"seal": digest(record)}), encoding="utf-8")
    chunks = heads.chunks(info.id)
    assert any(">" in chunk.indexed for chunk in chunks) is (chunking == BEFORE_TURNS)
    assert not any("Amos:" in chunk.indexed.removesuffix(chunk.text) for chunk in chunks)
    engine = MemoRAG(heads.settings)
    assert engine.retrieve(info.id, "What does the lighthouse log say?")[0].chunk in chunks
    assert engine.answer(info.id, QUESTION).citations
    engine.add(info.id, [from_text(f"# Third\n\n## Part\n\n{STORY}", "third")])
    assert MemoRAG(heads.settings).chunks(info.id)[: len(chunks)] == chunks
    assert MemoRAG(heads.settings).answer(info.id, QUESTION).citations


def test_a_batch_that_was_half_written_is_made_again(tmp_path: Path) -> None:
    form, path, made = Form("words", str.encode, bytes.decode), tmp_path / "journal", list[str]()

    def make(texts: Sequence[str]) -> list[str]:
        made.extend(texts)
        return [text.upper() for text in texts]

    for batch in (["a", "b"], ["c"]):
        Journal(path).finish(form, batch, make)
    path.write_bytes(path.read_bytes()[:-1])
    again = Journal(path)
    assert again.finish(form, ["a", "b"], make) == ["A", "B"]
    assert again.finish(form, ["c"], make) == ["C"]
    assert made == ["a", "b", "c", "c"]
    assert Journal(path).finish(form, ["c", "a"], make) == ["C", "A"]


def test_steps_that_are_not_told_still_let_others_work() -> None:
    paused: list[int] = []
    scope = ProgressScope(lambda _: pytest.fail("told"), lambda: paused.append(1)).silent()
    scope.step(1, 1)
    assert paused == [1]
