"""Raw recall becomes clean clues."""

from __future__ import annotations

import pytest

from memorag_core.query.clues import MAX_CLUES, clean_recall
from memorag_core.text.source_text import SourceText
from memorag_core.text.terms import terms
from memorag_core.types import Chunk, ClueKind, Document

QUESTION = "Who hung the gates of the mill?"
TEXT = (
    "The mill stands at the head of the pond. Amos Reed hung its gates in May 1963. The horn was sounded every night.\n"
)


def texts(*texts: str) -> SourceText:
    """A document of each text, of one chunk."""
    documents = [Document(f"d{number}", "Title", text) for number, text in enumerate(texts)]
    return SourceText(documents, [Chunk(document.id, 0, len(document.text), document.text) for document in documents])


def cleaned(raw: str, kind: ClueKind = "span", question: str = QUESTION, text: str = TEXT) -> list[str]:
    return [clue.text for clue in clean_recall({kind: raw}, question, texts(text))]


def test_terms_are_lower_case_words_and_single_han_characters() -> None:
    assert terms("The MILL's 王安石 Café，１２") == ["the", "mill", "s", "王", "安", "石", "café", "12"]


@pytest.mark.parametrize(
    "reply",
    [
        "As an AI language model, I have no memory of mills.",
        "I'm sorry, but the book is closed to me.",
        "I cannot find that anywhere.",
        "I’m unable to find that anywhere.",
        "The answer to this question is in the book.",
        "Sure! Let me write three of them.",
        "Here are three sentences of the text:",
        "The text does not mention the gates.",
        "The keeper is not mentioned in this part.",
        "抱歉，我不知道这件事。",
        "原文没有提到这个人物。",
        "以下是三个相关的句子：",
    ],
)
def test_canned_replies_are_dropped(reply: str) -> None:
    assert cleaned(reply) == []


def test_a_sentence_of_the_text_is_kept_though_it_reads_like_a_canned_reply() -> None:
    span = "大军无法渡过黄河，只好退兵。"
    assert cleaned(span, question="他们为什么撤退？", text=f"天降大雨。{span}次年又来。") == [span]


@pytest.mark.parametrize(
    "echo", ["Who hung the gates of the mill?", "who hung the mill gates", "The gates of the mill"]
)
def test_echoes_of_the_question_are_dropped(echo: str) -> None:
    assert cleaned(echo) == []


def test_a_name_of_some_characters_is_an_answer_though_the_rest_is_the_question() -> None:
    question, answer = "鑫诺一号通信卫星由什么公司制造？", "鑫诺一号通信卫星由法国宇航公司制造。"
    assert cleaned(answer, question=question) == [answer]
    assert cleaned("鑫诺一号通信卫星由哪家公司制造。", question=question) == []


def test_a_line_said_twice_is_kept_once_however_it_is_written() -> None:
    raw = "Amos Reed hung it.\namos reed HUNG it\n- Amos Reed hung it."
    assert cleaned(raw) == ["Amos Reed hung it."]


@pytest.mark.parametrize(
    "line",
    [
        "- Amos kept the book",
        "* Amos kept the book",
        "• Amos kept the book",
        "1. Amos kept the book",
        "2) Amos kept the book",
        "(3) Amos kept the book",
        "[4] Amos kept the book",
        '  5.  "Amos kept the book"',
        "**Amos kept the book**",
    ],
)
def test_latin_list_marks_and_quotes_are_stripped(line: str) -> None:
    assert cleaned(line) == ["Amos kept the book"]


@pytest.mark.parametrize("mark", ["一、", "（二）", "3、", "4.", "（5）", "·", "“"])
def test_chinese_list_marks_and_quotes_are_stripped(mark: str) -> None:
    assert cleaned(f"{mark}王安石推行新法") == ["王安石推行新法"]


@pytest.mark.parametrize(
    "line", ["3.5 million people live there", "12:30 was when the horn went", "-5 degrees was the coldest night"]
)
def test_a_number_that_opens_a_clue_is_not_taken_for_a_list_mark(line: str) -> None:
    assert cleaned(line) == [line]


@pytest.mark.parametrize("scrap", ["", "   ", "Amos", "1963.", "…", "王安"])
def test_scraps_are_dropped(scrap: str) -> None:
    assert cleaned(scrap) == []


def test_chinese_clues_are_not_lost() -> None:
    raw = "熙宁二年，王安石任参知政事。\n王安石\n司马光反对新法"
    assert cleaned(raw, question="变法从何时开始？") == raw.splitlines()


def test_only_a_question_passes_for_a_question_to_look_up() -> None:
    raw = "When were they delivered?\nThey were delivered late.\n闸门是什么时候安装的？"
    assert cleaned(raw, "question") == ["When were they delivered?", "闸门是什么时候安装的？"]


def test_a_question_to_look_up_is_never_verified() -> None:
    [clue] = clean_recall({"question": "Amos Reed hung its gates in May 1963?"}, "", texts(TEXT))
    assert not clue.verified


def test_a_rambling_memory_gives_a_bounded_number_of_clues() -> None:
    assert len(cleaned("\n".join(f"Fact number {n} about something" for n in range(50)))) == MAX_CLUES
