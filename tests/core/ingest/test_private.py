"""What a store keeps is no document, whatever may be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from memorag_core import MemoRAG, from_path, from_text
from memorag_core.errors import InputError
from memorag_core.ingest import resolve_allowed


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
        resolve_allowed(project / inside, [project])


def test_a_link_into_a_store_is_what_it_leads_to(project: Path) -> None:
    (project / "link.txt").symlink_to(project / "store" / ".owners" / "tokens")
    with pytest.raises(InputError, match="belongs to a store"):
        resolve_allowed(project / "link.txt", [project])


def test_a_folder_with_a_store_below_it_gives_the_users_files_alone(project: Path) -> None:
    read = from_path(project, 10_000, ["*.md", "*.txt", "tokens", "*.json"])
    assert sorted(document.title for document in read) == ["notes", "own"]


def test_a_file_of_tokens_elsewhere_is_private_too(project: Path) -> None:
    tokens = project / "team.txt"
    tokens.write_text("ann:" + "0" * 64)
    with pytest.raises(InputError, match=re.escape("belongs to a store")):
        resolve_allowed(tokens, [project], [tokens])
    assert [document.title for document in from_path(project, 10_000, ["*.md", "team*"], [tokens])] == ["notes", "own"]
