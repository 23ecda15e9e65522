"""What a store keeps is no document, whatever may be read."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from memorag_core import MemoRAG, from_path, from_text
from memorag_core.errors import InputError
from memorag_core.ingest.private import PrivateGate


@pytest.fixture
def project(tmp_path: Path, engine: MemoRAG) -> Path:
    """A folder that may be read, with a store below it: a context, an owner's, tokens, and a file of the user's."""
    engine.memorize([from_text("The mill stands at the head of the pond.", title="Mill")])
    store = engine.store.root
    for name in (".owners/of=bob/diary/documents/a.txt", ".owners/tokens", "samples/own.md", "half/documents/b.txt"):
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_text("words")
    (tmp_path / "notes.md").write_text("My own notes.")
    return tmp_path


@pytest.mark.parametrize(
    "inside",
    [
        "store/mill",
        "store/mill/documents/mill.txt",
        "store/.owners",
        "store/.owners/of=bob",
        "store/.owners/tokens",
        "store/.work",
        "store/half",
        "store/half/documents/b.txt",
        "store/samples/../.owners/tokens",
    ],
)
def test_nothing_that_a_store_keeps_can_be_read(inside: str, project: Path) -> None:
    with pytest.raises(InputError, match="belongs to a store"):
        from_path(project / inside, 10_000)


def test_a_link_into_a_store_is_what_it_leads_to(project: Path) -> None:
    (project / "link.txt").symlink_to(project / "store" / ".owners" / "tokens")
    with pytest.raises(InputError, match="belongs to a store"):
        from_path(project / "link.txt", 10_000)


def test_a_folder_with_a_store_below_it_gives_the_users_files_alone(project: Path) -> None:
    read = from_path(project, 10_000, ["*.md", "*.txt", "tokens", "*.json"])
    assert sorted(document.title for document in read) == ["notes", "own"]


def test_a_file_of_tokens_elsewhere_is_private_too(project: Path) -> None:
    tokens = project / "team.txt"
    tokens.write_text("ann:" + "0" * 64)
    with pytest.raises(InputError, match=re.escape("belongs to a store")):
        from_path(tokens, 10_000, (), [tokens])
    assert [document.title for document in from_path(project, 10_000, ["*.md", "team*"], [tokens])] == ["notes", "own"]


def test_the_drafts_locks_and_other_names_of_private_files_are_private(project: Path) -> None:
    tokens = project / "team.txt"
    for name in ("team.txt", "team.txt.123.tmp", "team.txt.lock"):
        (project / name).write_text("ann:" + "0" * 64)
    (project / "other.txt").hardlink_to(tokens)
    found = from_path(project, 10_000, ["*.md", "*.tmp", "*.lock", "team*", "other*"], [tokens])
    assert [document.title for document in found] == ["notes", "own"]


def test_a_store_without_its_marks_is_known_by_its_contexts(project: Path) -> None:
    shutil.rmtree(project / "store" / ".work")
    shutil.rmtree(project / "store" / ".owners")
    for inside in ("store/mill", "store/mill/documents/mill.txt", "store/half/documents/b.txt"):
        assert PrivateGate().keeps(project / inside)
    assert not PrivateGate().keeps(project / "store" / "samples" / "own.md")


def test_a_private_name_in_other_letters_is_private_where_the_disk_takes_it_for_the_same(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = project / "store" / ".OWNERS"
    assert not PrivateGate().keeps(project / ".OWNERS"), "this disk tells them apart"
    stat = Path.stat
    fold = {owners: project / "store" / ".owners"}

    def folded(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        return stat(fold.get(path, path), follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", folded)
    assert PrivateGate().keeps(owners / "tokens")


def test_what_a_store_keeps_is_refused_before_it_is_said_whether_it_is_there(project: Path) -> None:
    for name in ("bob", "nobody"):
        with pytest.raises(InputError, match="belongs to a store"):
            from_path(project / "store" / ".owners" / f"of={name}", 10_000)
