"""What is dropped on the page lies in the store until it is memorized, under names that lead nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memorag_core.errors import InputError
from memorag_mcp.page.files import inline_page, order_modules, read_files
from memorag_mcp.page.uploads import KEPT_SECONDS, Uploads

LIMIT = 10**6


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path)


def test_pieces_of_files_become_documents_with_the_names_they_came_with(uploads: Uploads) -> None:
    drop = uploads.begin()
    uploads.add(drop, "box/one.txt", b"The first half, ")
    uploads.add(drop, "box/one.txt", b"the second half.")
    uploads.add(drop, "box/two.bin", b"\0\1\2")
    reading = uploads.read(drop, LIMIT)
    assert [(one.text, one.source) for one in reading.documents] == [
        ("The first half, the second half.", "box/one.txt")
    ]
    assert list(reading.left_out) == ["box/two.bin"]
    uploads.forget(drop)
    with pytest.raises(InputError, match="Drop it again"):
        uploads.read(drop, LIMIT)


@pytest.mark.parametrize(
    "name", ["../out.txt", "/etc/passwd", "a//b", "a/./b", "a\\b", "C:x", "a\0b", "x" * 300, "", "a/.."]
)
def test_a_name_that_leads_elsewhere_is_refused(name: str, uploads: Uploads) -> None:
    with pytest.raises(InputError):
        uploads.add(uploads.begin(), name, b"text")


@pytest.mark.parametrize("drop", ["", "..", "../../jobs", "ab" * 12])
def test_an_id_that_is_none_leads_nowhere(drop: str, uploads: Uploads) -> None:
    with pytest.raises(InputError):
        uploads.add(drop, "a.txt", b"text")


def test_what_nobody_came_back_to_is_deleted(uploads: Uploads) -> None:
    old, young = uploads.begin(), uploads.begin()
    folder = uploads.folder(old)
    before = folder.stat().st_mtime - KEPT_SECONDS - 1
    os.utime(folder, (before, before))
    uploads.begin()
    assert not folder.exists()
    assert uploads.folder(young).exists()


def test_the_page_for_hosts_is_one_document_that_loads_nothing_and_names_nothing_twice() -> None:
    import re

    html = inline_page()
    assert not re.search(r'(?:src|href)="', html)
    assert not re.search(r"^\s*(?:import|export) ", html, re.M)
    modules = {name for name in read_files() if name.endswith(".js")}
    assert set(order_modules()) == modules
    names = re.findall(r"^(?:async )?(?:function\*?|class|const|let) (\w+)", html, re.M)
    assert sorted(names) == sorted(set(names))
    assert html.count("</script>") == 1
    assert "innerHTML" not in html
