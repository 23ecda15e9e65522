"""Files that lie about their sizes, a clock that was set back, a store that may only be read."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from pathlib import Path

import pytest
from conftest import STORY

from memorag_core import MemoRAG
from memorag_core.config import MANIFEST
from memorag_core.context.atomic_files import seal
from memorag_core.context.manifest import Manifest
from memorag_core.errors import DamagedContext, InputError, StoreError
from memorag_core.ingest import from_path, from_text

HEADERS = {
    "longer than the file": struct.pack("<Q", 1 << 40) + b"{}",
    "a tensor beyond the end": {"vectors": {"dtype": "F32", "shape": [1 << 40, 384], "data_offsets": [0, 1 << 50]}},
    "shapes that overflow": {"vectors": {"dtype": "F32", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 4]}},
    "nested": b"[" * 100_000,
    "nothing": b"",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_an_index_whose_header_lies_is_damage_and_takes_no_memory(
    engine: MemoRAG, header: bytes | dict[str, object]
) -> None:
    info = engine.memorize([from_text(STORY, "Mill")])
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    lying = text if isinstance(header, bytes) and text[:1] != b"[" else struct.pack("<Q", len(text)) + text
    folder = engine.store.root / info.id
    manifest = Manifest.read(folder)
    [index] = [path for path in folder.rglob("*.safetensors") if "bm25" not in path.name and "vector" in path.name]
    index.write_bytes(lying)
    (folder / MANIFEST).unlink()
    seal(folder, manifest)
    engine.shared.context_cache.clear()
    with pytest.raises(DamagedContext, match="cannot be read"):
        engine.retrieve(info.id, "Who kept the gate book?")


def test_a_presentation_that_unpacks_out_of_proportion_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "talk.pptx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("ppt/slides/slide1.xml", b" " * (64 << 20))
    with pytest.raises(InputError, match="as an archive made to do harm does"):
        from_path(tmp_path / "talk.pptx", 1_000_000)


def test_a_clock_that_was_set_back_loses_nothing(engine: MemoRAG, monkeypatch: pytest.MonkeyPatch) -> None:
    info = engine.memorize([from_text(STORY, "Mill")])
    monkeypatch.setattr("time.time", lambda: 1.0)
    for path in (engine.store.root / info.id).rglob("*"):
        os.utime(path, (1, 1))
    changed = engine.add(info.id, [from_text("Snow lay on the hill.", "Hill")])
    assert {document.id for document in changed.documents} == {"mill", "hill"}
    assert engine.retrieve(info.id, "Where did snow lie?")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="whoever may write anywhere is refused nowhere")
def test_a_store_that_may_only_be_read_is_asked_and_not_changed(engine: MemoRAG) -> None:
    info = engine.memorize([from_text(STORY, "Mill")])
    folders = [engine.store.root, *(path for path in engine.store.root.rglob("*") if path.is_dir())]
    try:
        for folder in folders:
            folder.chmod(0o555)
        assert engine.retrieve(info.id, "Who kept the gate book?")
        with pytest.raises(StoreError, match="Check its permissions"):
            engine.memorize([from_text("Snow lay on the hill.", "Hill")])
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_what_is_kept_of_a_path_is_below_the_store(engine: MemoRAG, tmp_path: Path) -> None:
    info = engine.memorize([from_text(STORY, "../../mill")])
    assert [path for path in tmp_path.iterdir() if path.name != "store"] == []
    assert (engine.store.root / info.id).is_dir()
