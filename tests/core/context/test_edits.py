"""Documents added to those of a context: what was read from the same place before is replaced where it stands."""

from __future__ import annotations

import pytest

from memorag_core.context.edits import Contents, follow
from memorag_core.ingest import NEWER, Reading
from memorag_core.types import Document


def read(name: str, text: str, place: str = "") -> Document:
    """A document as a reader makes it."""
    return Document(name, name, text, place)


def append(held: tuple[Document, ...], added: list[Document]) -> tuple[Document, ...]:
    """What a context holds after documents were added."""
    return follow(Contents(held), [Reading(added)]).documents


HELD = (read("tariff", "20 crowns", "/d/tariff.md"), read("hours", "Open at six.", "/d/hours.md"), read("note", "Hm."))

IDS = ["tariff", "hours", "note"]


@pytest.mark.parametrize(
    ("added", "ids", "texts"),
    [
        (
            [read("tariff", "25 crowns", "/d/tariff.md")],
            IDS,
            ["25 crowns", "Open at six.", "Hm."],
        ),
        (
            [read("renamed", "25 crowns", "/d/tariff.md")],
            IDS,
            ["25 crowns", "Open at six.", "Hm."],
        ),
        ([read("hours", "Hm.", "/d/hours.md")], IDS, ["20 crowns", "Hm.", "Hm."]),
        ([read("tariff", "20 crowns", "/d/tariff.md")], IDS, [one.text for one in HELD]),
        ([read("copy", "20 crowns", "/d/copy.md")], IDS, [one.text for one in HELD]),
        (
            [read("tariff", "30 crowns", "/e/tariff.md"), read("note", "Hm, hm.")],
            ["tariff", "hours", "note", "tariff-2", "note-2"],
            [*(one.text for one in HELD), "30 crowns", "Hm, hm."],
        ),
    ],
    ids=["changed", "changed-its-title", "became-a-copy", "unchanged", "copied", "of-another-place"],
)
def test_old_and_new_of_one_place_never_stand_side_by_side(
    added: list[Document], ids: list[str], texts: list[str]
) -> None:
    documents = append(HELD, added)
    assert [one.id for one in documents] == ids
    assert [one.text for one in documents] == texts
    replaced = [one for one, before in zip(documents, HELD, strict=False) if one != before]
    assert all(one.notice == NEWER for one in replaced)
    assert append(documents, added) == documents


def test_the_notice_of_the_reader_stands_before_that_of_the_change() -> None:
    [tariff, *_] = append(HELD, [Document("t", "t", "new", "/d/tariff.md", notice="A guess.")])
    assert tariff.notice == f"A guess. {NEWER}"
