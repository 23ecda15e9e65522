"""Only plain files are read, where they were checked to be, and nobody hears what lies elsewhere."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from memorag_core.concurrency.cancellation import cancellable, run_leavable
from memorag_core.config import Settings
from memorag_core.errors import Cancelled, InputError
from memorag_core.ingest import FolderWalk, from_path, read_path, resolve_allowed
from memorag_core.ingest.plain_file import NoPlainFile, read_plain_file
from memorag_core.types import Source
from memorag_mcp.inputs import ReadLimits, from_here, source_of

LIMIT = 10_000
pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that may be read, and a secret beside it."""
    (tmp_path / "secret.txt").write_text("Secret.", encoding="utf-8")
    (tmp_path / "open" / "sub").mkdir(parents=True)
    (tmp_path / "open" / "sub" / "a.txt").write_text("Open.", encoding="utf-8")
    return (tmp_path / "open").resolve()


@pytest.mark.parametrize(
    "place", ["/dev/zero", "/dev/stdin", "/proc/self/environ", "/proc/self/mem", "/sys/kernel/uevent_helper"]
)
def test_devices_and_files_of_the_system_are_refused_at_once(place: str) -> None:
    with pytest.raises(InputError, match=r"belongs to the system|is no plain file|no file or folder"):
        from_path(Path(place), LIMIT)


def test_a_pipe_is_refused_at_once_and_passed_over_in_a_folder(folder: Path) -> None:
    os.mkfifo(folder / "pipe.txt")
    with pytest.raises(InputError, match="is no plain file"):
        from_path(folder / "pipe.txt", LIMIT)
    assert [document.text for document in from_path(folder, LIMIT)] == ["Open."]


def test_a_link_put_in_place_of_a_file_after_the_check_is_not_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swapped(real: Path, most: int) -> bytes:
        (folder / "sub" / "a.txt").unlink()
        (folder / "sub" / "a.txt").symlink_to(folder.parent / "secret.txt")
        return read_plain_file(real, most)

    monkeypatch.setattr("memorag_core.ingest.documents.read_plain_file", swapped)
    with pytest.raises(InputError, match="is no plain file"):
        from_path(folder, LIMIT)


def test_a_link_put_in_place_of_a_folder_after_the_check_is_not_followed(folder: Path) -> None:
    real = folder / "sub" / "a.txt"
    (folder / "sub").rename(folder.parent / "moved")
    (folder / "sub").symlink_to(folder.parent / "moved")
    with pytest.raises(NoPlainFile):
        read_plain_file(real, LIMIT)


def test_no_more_than_the_limit_and_one_byte_is_read_of_a_file_that_grows(folder: Path) -> None:
    (folder / "sub" / "a.txt").write_bytes(b"a" * 100)
    assert len(read_plain_file(folder / "sub" / "a.txt", 10)) == 11


def test_reading_that_hangs_is_left_when_the_work_is_cancelled() -> None:
    flag, hung = threading.Event(), threading.Event()

    def hang() -> None:
        flag.set()
        hung.wait(60)

    with cancellable(flag), pytest.raises(Cancelled):
        run_leavable(hang)
    hung.set()


def test_folders_nested_without_end_are_told(folder: Path) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    walk = FolderWalk(folder)
    assert read_path(walk, LIMIT).documents
    [(name, why)] = walk.left_out.items()
    assert name.count("/") == 101
    assert why.startswith("folders in folders deeper")


def test_a_name_that_is_no_utf_8_is_read_and_shown_as_far_as_it_can_be(folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    (folder / name).write_text("Text.", encoding="utf-8")
    for place in (folder, folder / name):
        assert from_path(place, LIMIT)[0].source == f"{folder}/caf?.txt"


@pytest.mark.parametrize("there", ["secret.txt", "nothing.txt", "loop", "secret.txt/below"])
def test_nobody_hears_whether_something_outside_is_there(folder: Path, there: str) -> None:
    (folder.parent / "loop").symlink_to(folder.parent / "loop")
    may = ReadLimits(Settings.of(), [folder])
    path = from_here(f"../{there}", may)
    with pytest.raises(InputError) as raised:
        source_of(Source(path), may)
    assert str(raised.value).startswith(f"{Path.cwd()}/../{there} is outside the folders this server may read")


def test_nobody_hears_who_has_a_home_here(folder: Path) -> None:
    for user in ("root", "no-such-user-here"):
        with pytest.raises(InputError, match="give a plain path"):
            resolve_allowed(Path(f"~{user}/a.txt"), [folder])


def test_a_pattern_that_leads_out_is_refused_before_anything_is_walked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("memorag_core.ingest.folders.FolderWalk.files")
    for pattern in ("../*", "sub/../../*", "/*", "a\0", "..", "*" * 2000, "..\\*"):
        with pytest.raises(InputError, match="is no pattern"):
            from_path(folder, LIMIT, ["*.txt", pattern])
