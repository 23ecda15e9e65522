"""Raw recall becomes clean clues, and answers get quotes that are in the text."""

from __future__ import annotations

import pytest

from memorag_core.clues import MAX_CLUES, cite, clean, terms
from memorag_core.types import Chunk, Clue, ClueKind, Document, Passage

QUESTION = "Who hung the gates of the mill?"
TEXT = (
    "The mill stands at the head of the pond. Amos Reed hung its gates in May 1963. The horn was sounded every night.\n"
)


def cleaned(raw: str, kind: ClueKind = "span", question: str = QUESTION, text: str = TEXT) -> list[str]:
    return [clue.text for clue in clean({kind: raw}, question, [frozenset(terms(text))])]


def passage(document: Document, start: int = 0, end: int | None = None) -> Passage:
    end = len(document.text) if end is None else end
    return Passage(Chunk(document.id, start, end, document.text[start:end]), 1.0, ("q",))


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


@pytest.mark.parametrize(
    ("span", "verified"),
    [
        ("Amos Reed hung its gates in May 1963.", True),
        ("In May 1963, AMOS REED hung its gates", True),
        ("Amos Reed hung its gates in June 1871.", False),
        ("Nothing of this stands anywhere here", False),
    ],
)
def test_a_span_is_verified_where_one_chunk_holds_nearly_all_its_words(span: str, verified: bool) -> None:
    [clue] = clean({"span": span}, "When?", [frozenset(terms(TEXT)), frozenset(terms("June"))])
    assert clue == Clue(span, "span", verified)


def test_words_scattered_over_two_chunks_do_not_verify_a_span() -> None:
    halves = [frozenset(terms("Amos Reed hung")), frozenset(terms("its gates in May"))]
    [clue] = clean({"span": "Amos Reed hung its gates in May"}, "When?", halves)
    assert not clue.verified


def test_a_question_to_look_up_is_never_verified() -> None:
    [clue] = clean({"question": "Amos Reed hung its gates in May 1963?"}, "", [frozenset(terms(TEXT))])
    assert not clue.verified


def test_a_rambling_memory_gives_a_bounded_number_of_clues() -> None:
    assert len(cleaned("\n".join(f"Fact number {n} about something" for n in range(50)))) == MAX_CLUES


def test_every_quote_is_cut_from_its_document_at_its_offsets() -> None:
    documents = [Document("mill", "The mill", TEXT), Document("zh", "变法", "王安石变法。 司马光反对新法。苏轼被贬。")]
    found = cite("The mill; 司马光", "王安石变法", [passage(document) for document in documents], documents, most=9)
    texts = {document.id: document for document in documents}
    assert {citation.document_id for citation in found} == {"mill", "zh"}
    for citation in found:
        assert citation.quote == texts[citation.document_id].text[citation.start : citation.end]
        assert citation.title == texts[citation.document_id].title


@pytest.mark.parametrize(
    ("answer", "question", "quote"),
    [
        ("Amos Reed", QUESTION, "Amos Reed hung its gates in May 1963."),
        ("every night", "When was the horn sounded?", "The horn was sounded every night."),
        ("It stands at the head of the pond.", "Where is the mill?", "The mill stands at the head of the pond."),
    ],
)
def test_the_sentence_that_holds_the_answer_is_cited_first(answer: str, question: str, quote: str) -> None:
    document = Document("mill", "The mill", TEXT)
    assert cite(answer, question, [passage(document)], [document])[0].quote == quote


def test_only_the_passages_given_are_cited_from() -> None:
    document = Document("mill", "The mill", TEXT)
    end = TEXT.index("Amos")
    found = cite("Amos Reed hung its gates by the pond.", QUESTION, [passage(document, 0, end)], [document])
    assert [citation.quote for citation in found] == ["The mill stands at the head of the pond."]


@pytest.mark.parametrize("answer", ["Zebras graze", "", "？"])
def test_nothing_is_cited_when_nothing_is_shared(answer: str) -> None:
    document = Document("mill", "The mill", TEXT)
    assert cite(answer, "Why?", [passage(document)], [document]) == ()


def test_nothing_is_cited_without_evidence() -> None:
    assert cite("Amos Reed", QUESTION, [], []) == ()
