"""Chunks are the text itself, whole and in order, cut where a reader would cut."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from memorag_core.text.chunking import Count, sentences, split

ROOT = Path(__file__).resolve().parents[3]
EVAL = ROOT.parent / "shared" / "eval"
REAL = [
    ROOT / "contexts" / "samples" / "harrow-sound.md",
    EVAL / "loogle_shortdep_qa" / "doc0.txt",
    EVAL / "cmrc_zh" / "corpus.txt",
]


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def characters(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


def chunks_of(text: str, limit: int, count: Count = words) -> list[str]:
    return [text[start:end] for start, end in split(text, limit, count)]


def check(text: str, limit: int, count: Count) -> None:
    """All that holds for chunks of any text."""
    at = 0
    for start, end in split(text, limit, count):
        assert start >= at, "chunks overlap, or are out of order"
        assert not text[at:start].strip(), "something is left out between two chunks"
        chunk = text[start:end]
        assert chunk
        assert chunk == chunk.strip()
        assert count([chunk])[0] <= limit
        at = end
    assert not text[at:].strip(), "the end is left out"


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("count", [words, characters])
@pytest.mark.parametrize(
    "text",
    [
        "One. Two three! Four five six? Seven",
        "  \n\nIndented.\r\n\r\n\tTabbed.  \n",
        "A first paragraph. It has two sentences.\n\nA second one.\n\n\n\nA third.",
        "王安石变法始于熙宁二年。司马光反对！苏轼呢？“他也反对。”众人说；",
        "Mixed 中文 and English。Next 句子. End",
        "word " * 40,
        "x" * 99,
        "no-break\u00a0space and … ellipsis… then more",
    ],
)
def test_chunks_cover_the_text_in_order_and_stay_within_the_limit(text: str, count: Count, limit: int) -> None:
    check(text, limit, count)


def test_white_space_inside_a_chunk_counts_too() -> None:
    check("Aaa.          Bbb.\n\n\n\n\nCcc.", 10, characters)


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
@pytest.mark.parametrize(("limit", "count"), [(160, words), (512, characters)])
def test_real_documents_are_covered(path: Path, limit: int, count: Count) -> None:
    if not path.is_file():
        pytest.skip(f"{path} comes with the project's workplace, not with the repository")
    check(path.read_text(encoding="utf-8"), limit, count)


@pytest.mark.parametrize("text", ["", " ", "\n\n\t \u3000"])
def test_text_without_content_gives_no_chunks(text: str) -> None:
    assert split(text, 10, words) == []


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_without_room_for_a_token_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="needs room for a token"):
        split("text", limit, words)


def test_sentences_that_fit_are_kept_whole() -> None:
    text = "The mill stands by the pond. Amos kept the book. Rain fell for nine days."
    assert chunks_of(text, 8) == ["The mill stands by the pond.", "Amos kept the book.", "Rain fell for nine days."]


def test_short_sentences_share_a_chunk() -> None:
    assert chunks_of("It rained. It stopped. It rained again.", 20) == ["It rained. It stopped. It rained again."]


@pytest.mark.parametrize("gap", ["\n\n", "\r\n\r\n", "\n \n"], ids=["lf", "crlf", "with-a-space"])
def test_a_chunk_two_thirds_full_ends_with_its_paragraph(gap: str) -> None:
    first, second = "One two three four five six seven.", "Eight nine."
    assert chunks_of(first + gap + second, 10) == [first, second]


def test_paragraphs_that_fill_less_share_a_chunk() -> None:
    assert chunks_of("One two.\n\nThree four.", 12) == ["One two.\n\nThree four."]


def test_a_sentence_longer_than_the_limit_is_cut_between_words() -> None:
    text = "alpha beta gamma delta epsilon zeta eta theta iota kappa"
    chunks = chunks_of(text, 3)
    assert " ".join(chunks) == text
    assert all(len(chunk.split()) <= 3 for chunk in chunks)


def test_chinese_is_cut_at_its_own_full_stops() -> None:
    assert chunks_of("天下大势，分久必合。合久必分！谁知？", 11, characters) == [
        "天下大势，分久必合。",
        "合久必分！谁知？",
    ]


def test_a_word_or_a_chinese_sentence_above_the_limit_is_cut_between_characters() -> None:
    for text in ("A" * 1000, "滚滚长江东逝水" * 50):
        chunks = chunks_of(text, 64, characters)
        assert "".join(chunks) == text
        assert max(map(len, chunks)) <= 64
        assert min(map(len, chunks)) > 16


def test_sentences_keep_their_closing_quotes_and_leave_numbers_whole() -> None:
    text = 'He said "Go." It cost 3.50 marks. 他说：“走。”就走了。'
    assert [text[start:end] for start, end in sentences(text)] == [
        'He said "Go."',
        "It cost 3.50 marks.",
        "他说：“走。”",
        "就走了。",
    ]


def test_sentences_of_a_part_have_offsets_in_the_whole() -> None:
    text = "Skip this. Keep this. And this. Not that."
    assert [text[start:end] for start, end in sentences(text, 11, 31)] == ["Keep this.", "And this."]


def test_initials_and_short_forms_do_not_end_a_sentence_but_a_line_does() -> None:
    text = "Mr. J. Reed met Dr. Ames, e.g. in May. They spoke.\nSigned: Reed, J.\nSeen: Ames"
    assert [text[start:end] for start, end in sentences(text)] == [
        "Mr. J. Reed met Dr. Ames, e.g. in May.",
        "They spoke.",
        "Signed: Reed, J.",
        "Seen: Ames",
    ]


def test_a_run_of_dots_takes_no_longer_than_its_length_explains() -> None:
    """A pattern that backtracks would need minutes here."""
    assert split("." * 200_000 + "x", 300_000, lambda texts: [len(text) for text in texts])
