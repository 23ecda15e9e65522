"""A stored context with any memory, documents added and removed: it is what memorizing them at once would give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from beacon_checkpoints import write
from conftest import STORY, tiny_settings
from latent_checkpoints import write as write_latent

from memorag_core import Document, MemoRAG, Settings
from memorag_core.context.corpus import Context
from memorag_core.memory import Memory
from memorag_core.retrieval.dense import DenseIndex
from memorag_core.retrieval.hybrid import HybridIndex

OTHER = "The lighthouse log says that the wind went round to the west at noon on Tuesday. Then it rained.\n"
THIRD = "The pilot came aboard off Ardmouth and left again. Nobody wrote down when.\n"
A, B, C = (Document(name, name, text * 3) for name, text in (("mill", STORY), ("light", OTHER), ("pilot", THIRD)))


@pytest.fixture(scope="module")
def beacon_model(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    return write(tmp_path_factory.mktemp("beacon"), tiny_models / "lm", 600, window=64, ratio=[4], sink_size=2)


@pytest.fixture(scope="module")
def latent_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_latent(tmp_path_factory.mktemp("latent"))


@pytest.fixture(scope="module", params=["tiny", "full", "latent"])
def settings(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_models: Path,
    beacon_model: Path,
    latent_model: Path,
) -> Settings:
    base = tiny_settings(tiny_models, tmp_path_factory.mktemp("store"))
    if request.param == "tiny":
        return base
    model = beacon_model if request.param == "full" else latent_model
    return base.model_copy(update={"profile": "full", "memory_model": str(model), "generator": "memory"})


@pytest.fixture(scope="module")
def engine(settings: Settings) -> MemoRAG:
    return MemoRAG(settings)


def vectors_of(context: Context) -> Any:
    """The vectors of a context's dense index."""
    assert isinstance(context.index, HybridIndex)
    dense = context.index.members[0]
    assert isinstance(dense, DenseIndex)
    return dense.nearest.tensors()["vectors"]


def assert_same(engine: MemoRAG, context_id: str, documents: list[Document]) -> None:
    """Compare a changed context, read back, with one memorized in a store of its own."""
    whole = MemoRAG(
        engine.settings.model_copy(update={"store": engine.settings.store / ".work" / f"whole{context_id}"}),
        shared=engine.shared,
    )
    expected, context = whole.context(whole.memorize(documents).id), engine.context(context_id)
    assert context.documents == expected.documents
    assert context.chunks == expected.chunks
    assert context.manifest.key == expected.manifest.key
    vectors, all_at_once = vectors_of(context), vectors_of(expected)
    torch.testing.assert_close(vectors, all_at_once, atol=1e-3, rtol=0)
    assert isinstance(context.memory, Memory)
    assert isinstance(expected.memory, Memory)
    assert context.memory.notes == expected.memory.notes
    state, new = context.memory.state, expected.memory.state
    for kept, read in zip((*state.keys, *state.values), (*new.keys, *new.values), strict=True):
        torch.testing.assert_close(kept, read, atol=0.02, rtol=0.02)  # what was kept went through float16 on disk
    question = "Who came aboard?"
    assert [p.chunk for p in engine.retrieve(context_id, question)] == [
        p.chunk for p in whole.retrieve(expected.id, question)
    ]


def test_added_documents_give_what_memorizing_all_at_once_gives(engine: MemoRAG) -> None:
    first = engine.memorize([A], name="added")
    second = engine.add(first.id, [B])
    third = engine.add(first.id, [C])
    assert [info.id for info in (second, third)] == [first.id, first.id]
    assert [document.id for document in third.documents] == ["mill", "light", "pilot"]
    assert first.encode_seconds < second.encode_seconds < third.encode_seconds
    assert_same(engine, first.id, [A, B, C])


@pytest.mark.parametrize("removed", [A, B, C], ids=["first", "middle", "last"])
def test_a_removed_document_leaves_what_memorizing_the_others_gives(engine: MemoRAG, removed: Document) -> None:
    engine.memorize([A, B, C], name=f"without-{removed.id}")
    info = engine.remove(f"without-{removed.id}", removed.id)
    left = [document for document in (A, B, C) if document != removed]
    assert [document.id for document in info.documents] == [document.id for document in left]
    assert_same(engine, info.id, left)
