"""No clue that is shown is a canned reply or an echo, whatever models write; checked by other means than `clean`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from memorag_core.query.clues import clean_recall
from memorag_core.text.source_text import SourceText
from memorag_core.types import Chunk, Clue, ClueKind, Document

RAW = Path(__file__).parent / "fixtures" / "raw_recall.jsonl"
"""What the embedded SmolLM2 recalled of short texts, untouched, with the text and the question."""

ENGLISH = "Who hung the gates of the mill?"
CHINESE = "是谁推行了新法？"
JAPANESE = "水門を取り付けたのは誰ですか。"
TEXT = (
    "The mill stands at the head of the pond. Amos Reed hung its gates in May 1963. The horn was sounded every night.\n"
    "熙宁二年，王安石任参知政事，推行新法。司马光反对新法，退居洛阳十五年。\n"
    "水車小屋は池のほとりに立っている。アモスは一九六三年五月に水門を取り付けた。\n"
)
SPOKEN = """
sorry|apolog|as an ai|language model|i cannot|i can't|i don't|i am unable|let me know|feel free|here are|here is|sure|
certainly|of course|does not mention|doesn't mention|no information|not mentioned|not provided|the question|
this question|each on a line|nothing else|on a line of|hope this|please provide|<|im_start|inst]|clue:|clues:|answer:|
question:|
抱歉|对不起|無法|无法|没有提到|未提及|以下是|作为一|好的|当然|希望|不要写|线索：|问题：|答案：|申し訳|わかりません|記載|以下の|
もちろん|承知|手がかり：|質問：
"""
PHRASES = [phrase.strip() for phrase in SPOKEN.split("|")]

UGLY = [
    ("Clues:\n1. Amos Reed hung its gates in May 1963.\n2. Amos Reed hung its gates in May 1963.", ENGLISH),
    ("**Clues:**\n\n- **Clue 1:** Amos Reed hung the gates in May 1963\n- **Clue 2:** I hope this helps!", ENGLISH),
    ("Sure! Here are three sentences that help to answer the question:\n* The horn was sounded every night", ENGLISH),
    ("<|im_start|>assistant\nAnswer: The gates of the mill were hung.<|im_end|>", ENGLISH),
    ("Question: Who hung the gates of the mill?\nAnswer: Who hung the mill's gates?", ENGLISH),
    ("Q: Who was it that hung the gates of the mill?\nA: I'm sorry, but I cannot answer this question.", ENGLISH),
    ("Write up to three of them, each on a line of its own, and nothing else.", ENGLISH),
    ("As a large language model I have no access to the mill. Please provide the text of the log.", ENGLISH),
    (
        "The text does not mention any gates. The gates of the mill are not mentioned. No information given here.",
        ENGLISH,
    ),
    ("the gates the gates the gates the gates the gates the gates the gates the gates", ENGLISH),
    ("Amos Reed hung them and Amos Reed hung them and Amos Reed hung them and Amos Reed hung them and Am", ENGLISH),
    ("N/A\nNone.\nUnknown\nYes\nNo.\nOk", ENGLISH),
    (
        "[INST] Which sentences help to answer this question? [/INST]\n>>> 1) (2) - • It was hung by Ida in 1871.",
        ENGLISH,
    ),
    ("It was hung by Ida in 1871. It was hung by Ida in 1871. It was hung by Ida in 1871.", ENGLISH),
    ("1.\n2.\n3.\n-\n* \n…\n```\n```", ENGLISH),
    ("线索：\n1、熙宁二年，王安石任参知政事\n2、熙宁二年，王安石任参知政事。", CHINESE),
    ("好的，以下是三个相关的句子：\n（一）司马光反对新法，退居洛阳十五年\n希望以上内容对您有帮助。", CHINESE),
    ("问题：是谁推行了新法？\n答案：是谁推行新法", CHINESE),
    ("抱歉，作为一个AI语言模型，我无法回答。\n原文没有提到新法。\n不要写别的内容。", CHINESE),
    ("新法新法新法新法新法新法新法新法新法新法", CHINESE),
    ("根据原文，王安石与吕惠卿同修条例。根据原文，王安石与吕惠卿同修条例。", CHINESE),
    ("線索：\n對不起，我無法回答這個問題。\n③ 蘇軾貶謫黃州後自號東坡居士", CHINESE),
    (
        "手がかり：\n・アモスは一九六三年五月に水門を取り付けました。\n・アモスは一九六三年五月に水門を取り付けた",
        JAPANESE,
    ),
    ("もちろんです。以下の文が役に立ちます：\n1．毎晩、角笛が鳴らされたという話である。", JAPANESE),
    ("申し訳ありませんが、わかりません。本文には記載されていません。\n情報がありません。", JAPANESE),
    ("質問：水門を取り付けたのは誰ですか。\n回答：水門を取り付けたのは誰", JAPANESE),
    ("水門を水門を水門を水門を水門を水門を水門を水門を", JAPANESE),
]


def real() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RAW.read_text(encoding="utf-8").splitlines()]


def texts(text: str) -> SourceText:
    document = Document("d", "Title", text)
    return SourceText([document], [Chunk("d", 0, len(text), text)])


def faults(clue: Clue, question: str, text: str) -> list[str]:
    """What is wrong with a clue, found with plain string operations."""
    said, asked = clue.text.lower(), question.lower()
    plain, plainly_asked = (re.sub(r"[\W_]+", "", words) for words in (said, asked))
    new = set(re.findall(r"[a-z0-9]+|[^\x00-\x7f\W]", said)) - set(re.findall(r"[a-z0-9]+|[^\x00-\x7f\W]", asked))
    pieces = {plain[at : at + 12] for at in range(len(plain) - 11)}
    return [
        fault
        for fault, found in {
            "canned": clue.place is None and any(phrase in said for phrase in PHRASES),
            "an echo": plain in plainly_asked or plainly_asked in plain or not new,
            "a scrap": len(plain) < 3,
            "a list mark": re.match(r"\s*(?:[-*•·>]\s|\(?\d{1,2}[.)、]\s?(?!\d)|（|[①-⑳])", clue.text) is not None,
            "a heading": clue.place is None and said.endswith((":", "：")),
            "repeats itself": any(plain.count(piece) > 2 for piece in pieces) and clue.place is None,
            "not the text": clue.place is not None and text[clue.place.start : clue.place.end] != clue.text,
        }.items()
        if found
    ]


@pytest.mark.parametrize("kind", ["span", "question", "answer"])
@pytest.mark.parametrize(("raw", "question"), UGLY)
def test_no_ugly_reply_leaves_a_clue_that_is_canned_or_an_echo(raw: str, question: str, kind: ClueKind) -> None:
    shown = clean_recall({kind: raw}, question, texts(TEXT))
    assert [(clue.text, faults(clue, question, TEXT)) for clue in shown if faults(clue, question, TEXT)] == []
    assert len({clue.text for clue in shown}) == len(shown)


@pytest.mark.parametrize("kind", ["span", "question", "answer"])
def test_nor_does_what_the_embedded_model_wrote(kind: ClueKind) -> None:
    for record in real():
        for clue in clean_recall({kind: record[kind]}, record["asked"], texts(record["text"])):
            assert faults(clue, record["asked"], record["text"]) == [], clue.text


@pytest.mark.parametrize(
    ("raw", "question", "shown"),
    [
        (UGLY[0][0], ENGLISH, ["Amos Reed hung its gates in May 1963."]),
        (UGLY[1][0], ENGLISH, ["Amos Reed hung its gates in May 1963."]),
        (UGLY[2][0], ENGLISH, ["The horn was sounded every night."]),
        (UGLY[10][0], ENGLISH, ["Amos Reed hung them and Am"]),
        (UGLY[12][0], ENGLISH, ["It was hung by Ida in 1871."]),
        (UGLY[13][0], ENGLISH, ["It was hung by Ida in 1871."]),
        (UGLY[15][0], CHINESE, ["熙宁二年，王安石任参知政事，推行新法。"]),
        (UGLY[16][0], CHINESE, ["司马光反对新法，退居洛阳十五年。"]),
        (UGLY[20][0], CHINESE, ["王安石与吕惠卿同修条例。"]),
        (UGLY[21][0], CHINESE, ["蘇軾貶謫黃州後自號東坡居士"]),
        (UGLY[22][0], JAPANESE, ["アモスは一九六三年五月に水門を取り付けた。"]),
        (UGLY[23][0], JAPANESE, ["毎晩、角笛が鳴らされたという話である。"]),
    ],
)
def test_what_is_of_use_among_it_is_kept(raw: str, question: str, shown: list[str]) -> None:
    assert [clue.text for clue in clean_recall({"span": raw}, question, texts(TEXT))] == shown


def test_the_checker_finds_what_it_is_meant_to() -> None:
    """Else the tests above would hold whatever is shown."""
    bad = [
        "Sure! Ida hung them",
        "Who hung the gates of the mill",
        "- Ida hung them",
        "Ida in Leeds:",
        "和王安石，在洛阳，" * 8,
    ]
    assert all(faults(Clue(text, "span"), ENGLISH, TEXT) for text in bad)
    assert faults(Clue("Ida hung it near Leeds.", "span"), ENGLISH, TEXT) == []


def test_a_clue_is_verified_exactly_where_it_is_the_text_at_its_place() -> None:
    checked = 0
    raws = [(raw, question, TEXT) for raw, question in UGLY]
    raws += [(record["span"] + "\n" + record["answer"], record["asked"], record["text"]) for record in real()]
    for raw, question, text in raws:
        for clue in clean_recall({"span": raw}, question, texts(text)):
            assert clue.verified == (clue.place is not None)
            if clue.place:
                assert clue.text == text[clue.place.start : clue.place.end]
                checked += 1
    assert checked >= 8


def test_two_clues_do_not_overlap_in_the_text() -> None:
    raw = "Amos Reed hung its gates\nits gates in May 1963, Amos Reed hung\nThe horn was sounded every night"
    assert len(clean_recall({"span": raw}, ENGLISH, texts(TEXT))) == 2


def test_the_memorys_own_answer_may_be_a_word() -> None:
    [clue] = clean_recall({"answer": "Answer: Amos"}, ENGLISH, texts(TEXT))
    assert clue == Clue("Amos", "answer")
