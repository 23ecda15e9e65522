"""Sentences and words of languages other than English: their marks, ordinals, abbreviations, digits, inflections."""

from __future__ import annotations

import pytest

from memorag_core.text.chunking import sentences
from memorag_core.text.terms import index_terms, stems


@pytest.mark.parametrize(
    "parts",
    [
        ["Am 3. Oktober 1990 war es so weit.", "Im 19. Jahrhundert nicht.", "Es waren 12.", "Das gilt z. B. für alle."],
        ["Их было 12.", "Потом ушли."],
        ["Er sagte: „Es regnet.“", "Dann ging er."],
        ["El Sr. Pérez llegó a EE. UU. en 1990.", "¿Quién lo sabía?", "«No lo sé.»", "Luego se fue."],
        ["هل تعرف ذلك؟", "نعم.", "ذهب في ٣ أكتوبر."],
        ["これは本です。", "いつ買いましたか？", "昨日です。"],
        ["이것은 책입니다.", "언제 샀습니까?", "어제요."],
        ["這是一本書。", "什麼時候買的？", "昨天。"],
        ["यह एक किताब है।", "कब खरीदी?", "कल।"],
    ],
)
def test_sentences_end_where_they_end_in_their_language(parts: list[str]) -> None:
    text = " ".join(parts)
    assert [text[start:end] for start, end in sentences(text)] == parts


def test_a_question_mark_of_arabic_and_a_danda_end_a_sentence_without_a_space_too() -> None:
    assert len(list(sentences("هل تعرف؟نعم"))) == len(list(sentences("है।कल"))) == 2


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("كَتَبَ", "كتب"),
        ("أكتوبر ٢٠٢٣", "اكتوبر 2023"),
        ("مدرســـة", "مدرسة"),
        ("в Москве", "в Москва"),
        ("красный", "красные"),
        ("ガス", "ガス"),
        ("２０２３年", "2023年"),
        ("Grüße", "GRÜSSE"),
    ],
)
def test_the_same_word_is_found_however_it_is_written_or_inflected(text: str, asked: str) -> None:
    assert stems(text) == stems(asked)


def test_letters_that_differ_by_a_mark_stay_two() -> None:
    assert stems("か") != stems("が")
    assert "12.3" in index_terms("١٢.٣")
