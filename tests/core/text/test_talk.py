"""Transcripts are told by their turns; a passage that begins within one knows who speaks, and on which day."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from memorag_core.context.encode import cut
from memorag_core.ingest import captions
from memorag_core.text.standing import BEFORE_TURNS
from memorag_core.text.talk import Talk, is_talk
from memorag_core.types import Chunk, Document

SAYING = "The mill stands by the pond. Rain fell for nine days."


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def chunks_of(text: str, limit: int = 9) -> list[Chunk]:
    return cut(Document("d", "Talk", text), limit, words)


@pytest.mark.parametrize(
    ("lines", "talk"),
    [
        (["Professor C: OK .", "Grad E: Mm-hmm ."] * 8, True),
        (["[00:12] Speaker 1: Good morning.", "", "[00:14] Speaker 2: Morning."] * 8, True),
        (["主持人：大家好。", "王先生：你好。"] * 8, True),
        (["Note: it rained.", *["It rained on the mill all day, and nobody came."] * 3] * 8, False),
        ([f"Entry {n}: a thing" for n in "abcdefghijklmnop"], False),
        (["She said: no.", "He said: yes."], False),
        ([], False),
    ],
)
def test_talk_is_told_by_its_speakers_turns(lines: list[str], talk: bool) -> None:
    assert is_talk("\n".join(lines)) is talk


@pytest.mark.parametrize(
    ("ann", "bo", "speaker"),
    [
        ("Ann: ", "Bo: ", "Ann"),
        ("[12/03/2023, 10:15:30] Ann K: ", "[12/03/2023, 10:15:30] Bo: ", "[12/03/2023, 10:15:30] Ann K"),
        ("5/8/23, 1:56 PM - Ann: ", "5/8/23, 1:56 PM - Bo: ", "5/8/23, 1:56 PM - Ann"),
        ("<ann> ", "[10:15] <bo_2> ", "<ann>"),
        ("**Ann:** ", "**Bo:** ", "Ann"),
        ("Ann Smith  0:12\n", "Bo  10:15 AM\n", "Ann Smith  0:12"),
        ("PhD A (00:12): ", "Grad B (00:12): ", "PhD A (00:12)"),
        ("\nQ: ", "\nA: ", "Q"),
    ],
)
def test_a_passage_that_begins_within_a_turn_knows_who_speaks(ann: str, bo: str, speaker: str) -> None:
    chunks = chunks_of("\n".join([ann + SAYING, bo + SAYING] * 6), 12)
    assert {chunk.speaker for chunk in chunks} >= {speaker}
    for chunk in chunks:
        begins = chunk.text.startswith(("Rain", "The mill"))
        assert bool(chunk.speaker) is begins
        assert chunk.shown.endswith(f"\n{chunk.speaker}:\n{chunk.text}" if begins else chunk.text)


def test_captions_of_our_own_reader_are_talk() -> None:
    cues = (f"00:0{n}.000 --> 00:0{n}.900\n<v {'Ann' if n % 2 else 'Bo'}>{SAYING}" for n in range(10))
    more = "00:10.000 --> 00:11.000\nAnd so on."
    text = captions.read("\n\n".join(["WEBVTT", *cues, more, more]).encode(), "x.vtt", 10_000).text
    assert [chunk.speaker for chunk in chunks_of(text)][-3:] == ["", "Ann", "Ann"]


def test_a_passage_of_a_chat_knows_the_day_it_is_of_and_a_turn_ends_with_the_day() -> None:
    day = [f"Ann: {SAYING}", f"Bo: {SAYING}"] * 3
    log = ["Monday, 8 May 2023", *day, "--- 2023-05-09 ---", "All of them were there, and nobody spoke.", *day]
    chunks = chunks_of("\n".join([*log, "# Later", *day]))
    dates = {(chunk.title, chunk.date): chunk.heading_lines for chunk in chunks}
    assert list(dates) == [("", "Monday, 8 May 2023"), ("", "2023-05-09"), ("Later", "Monday, 8 May 2023")]
    assert all(lines.startswith("Talk > ") for lines in dates.values())
    assert [chunk.speaker for chunk in chunks if chunk.text.startswith("All of")] == [""]
    chunks = chunks_of("\n".join(["# Now", *log, "# Later", *day]))
    assert {chunk.date for chunk in chunks if chunk.title == "Later"} == {""}


def test_a_passage_of_a_meeting_is_indexed_under_who_speaks_and_one_of_two_people_is_not() -> None:
    for names, indexed in ((("Ann", "Bo"), False), (("Ann", "Bo", "Cy"), True)):
        chunks = chunks_of("\n".join([f"{name}: {SAYING}" for name in names] * 6))
        assert {f"{chunk.speaker}:\n" in chunk.indexed for chunk in chunks if chunk.speaker} == {indexed}


def test_contexts_of_before_are_indexed_under_neither() -> None:
    text = "\n".join(["8 May 2023", *[f"Ann: {SAYING}", f"Bo: {SAYING}"] * 6])
    before = cut(Document("d", "Talk", text), 9, words, BEFORE_TURNS)
    assert {(chunk.date, chunk.indexed) for chunk in before} == {("", f"Talk\n{chunk.text}") for chunk in before}
    assert [chunk.text for chunk in before] == [chunk.text for chunk in chunks_of(text)]


def test_prose_with_dates_and_colons_is_no_talk() -> None:
    text = "\n\n".join([f"On 8 May 2023 it rained: {SAYING}", SAYING, "8 May 2023"] * 9)
    assert Talk.of(text) == Talk()
