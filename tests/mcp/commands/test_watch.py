"""Watched files: a change is looked at once it is whole, and so is what changed before the watch began."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waits import SECONDS

from memorag_core.errors import InputError
from memorag_core.types import Source
from memorag_mcp.commands.watch import watch_sources

Watch = Callable[[Path], "Looks"]


class Looks:
    """Counts how often somebody looked."""

    def __init__(self) -> None:
        self.stop, self._looked = threading.Event(), threading.Semaphore(0)

    def look(self) -> None:
        self._looked.release()

    def wait(self) -> None:
        assert self._looked.acquire(timeout=SECONDS)


@pytest.fixture
def watch() -> Iterator[Watch]:
    begun: list[tuple[Looks, threading.Thread]] = []

    def begin(path: Path) -> Looks:
        looks = Looks()
        given = ([Source(str(path)), Source("https://example.com/")], looks.look, 0.05, looks.stop)
        thread = threading.Thread(target=watch_sources, args=given)
        begun.append((looks, thread))
        thread.start()
        looks.wait()
        return looks

    yield begin
    for looks, thread in begun:
        looks.stop.set()
        thread.join(SECONDS)
        assert not thread.is_alive()


@pytest.mark.parametrize("change", ["written", "new", "gone", "renamed", "replaced"])
@pytest.mark.parametrize("watched", ["folder", "file"])
def test_every_change_of_a_file_is_looked_at(watch: Watch, tmp_path: Path, watched: str, change: str) -> None:
    file = tmp_path / "notes" / "old" / "mill.md"
    file.parent.mkdir(parents=True)
    if change != "new":
        file.write_text("Amos kept the gate book.", encoding="utf-8")
    if watched == "file" and change == "new":
        pytest.skip("a file that is not there is no source yet")
    looks = watch(file if watched == "file" else tmp_path / "notes")
    if change in {"written", "new"}:
        file.write_text("Amos kept it every day.", encoding="utf-8")
    elif change == "gone":
        file.unlink()
    elif change == "renamed":
        file.rename(file.with_name("book.md"))
    else:
        other = tmp_path / "other"
        other.write_text("Amos kept it every day.", encoding="utf-8")
        other.replace(file)
    looks.wait()


def test_what_cannot_be_watched_says_so() -> None:
    with pytest.raises(InputError, match="files and folders can"):
        watch_sources([Source("https://example.com/")], lambda: None)
