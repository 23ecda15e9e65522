"""Clean generated clues: drop canned replies, echoes and repetitions; replace near quotes with the text's own words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from memorag_core.text.chunking import sentences
from memorag_core.text.source_text import SourceText, numbers
from memorag_core.text.terms import content_stems, terms
from memorag_core.types import Clue, ClueKind

MAX_CLUES = 6
ECHO = 0.75
NAME = 3
FIRST_UNSPACED = "\u3040"
SAME = 0.8
SHORTEST: dict[ClueKind, int] = {"answer": 1}
SHORTEST_OTHERWISE = 3
LONGEST_LINE = 600
VARIED = 0.35
LONG_ENOUGH_TO_VARY = 12

_QUOTES = "\"'“”‘’「」『』《》*_`# \t\u3000"
_SPECIAL = re.compile(r"<\|?/?[a-zA-Z_]{1,20}\|?>(?:\s*(?:assistant|user|system)\b)?|\[/?(?:INST|SYS)\]|�")
_MARK = re.compile(
    r"^\s*(?:[-*•·–>●○■□◆・※]+(?!\d)|[（(]?\d{1,2}[.)）、:：．](?!\d)|\[\d+\]|[（(]?[一二三四五六七八九十]{1,2}[、.)）．]|"
    r"[①-⑳]|[(（]?[a-dA-D][.)）](?=\s))\s*"
)
_LABEL = re.compile(
    r"(?i)^\s*(?:(?:(?:the|my|some|short|specific|relevant|follow-?up|surrogate|possible|key|important|main) )*"
    r"(?:clue|sentence|span|question|answer|fact|point|quote|excerpt|passage|evidence|note|output|response|reply|"
    r"user|assistant|human|system|text|summary|q|a)s?(?: (?:from|of) the text)?|"
    r"(?:相关|相關|关键|關鍵|重要|原文|具体)*(?:线索|線索|句子|问题|問題|答案|回答|原文|事实|事實|要点|要點|证据|證據|"
    r"摘录|摘錄|回复|提问|文)|"
    r"(?:関連する|重要な)*(?:手がかり|手掛かり|ヒント|質問|回答|答え|原文|文章|文|要点|事実|証拠|抜粋|引用))"
    r"[*\s]*+(?:(?:#|no\.?|第)\s*+)?[\d一二三四五六七八九十]{0,2}[\s*」】]*+[:：][*\s]*+"
)
_LEAD_IN = re.compile(
    r"(?i)^\s*(?:according to (?:the|this) (?:text|passage|document|article|story|context)|"
    r"(?:根据|根據)(?:原文|上文|上述文字|以上文字|文本|文中内容)|(?:本文|原文|文章|テキスト)に(?:よると|よれば))\s*[,:，、：]\s*"
)
_LOOP = re.compile(r"(?i)(.{2,80}?)(?:[\W_]{0,8}\1){2,}")
_TWICE = re.compile(r"(?i)(.{20,300}?)(?:[\W_]{0,8}\1)+")
_ENGLISH = (
    r"as an? (?:\w+ )?(?:ai|assistant)\b",
    r"(?:ai|large|language) (?:language )?model",
    r"i apologi[sz]e",
    r"i(?: am|['’]m) (?:sorry|unable|not able|not sure|afraid|here to|ready|an? )",
    r"i can(?:no|['’])t",
    r"i (?:do|could)(?:n['’]t| not) (?:have|know|see|find|recall|remember|understand)",
    r"(?:sure|certainly|of course|absolutely|okay|great question)[,!:.]",
    r"here(?:['’]s| (?:are|is)) ",
    r"let me know|feel free",
    r"(?:hope|happy|glad) (?:this|that|to) (?:help|assist)s?",
    r"please (?:provide|let|note|specify|clarify|share|ask|write)",
    r"(?:the|this) (?:\w+ )?(?:text|passage|document|article|context|question) (?:above |given )?"
    r"(?:does|is|has|can|do)(?:n['’]t| ?not)",
    r"no (?:\w+ )?(?:information|mention|sentences?|answer|questions?|clues?) ",
    r"(?:not|n['’]t) (?:\w+ )?(?:mentioned|provided|specified|stated|available|enough information)",
    r"the (?:following |relevant )?(?:question|sentence|text)s? (?:above|below|is|are|that)",
    r"(?:to|the) answer (?:to )?(?:this|the|that|your) question",
    r"(?:to answer (?:it|this|that)|answer (?:this|the|your) question)",
    r"(?:each|one) on a line|lines? of (?:its|your) own|nothing else\b|write (?:up to|down)",
    r"looked up first|help(?:s|ful)? to answer|only the text above",
)
_EAST_ASIAN = (
    r"抱歉|对不起|對不起|很遗憾|无法|無法|不能(?:回答|提供|确定)|不知道|不清楚|不确定",
    r"(?:没有|沒有|没|未)(?:提到|提及|说明|說明|找到|相关|相關|足够|给出)",
    r"作[为為](?:一个|一個|一名|AI|人工智能|语言模型|語言模型|助手|智能)",
    r"以下(?:是|为|為)|(?:好的|当然|當然|没问题|可以)[，,！!。]|希望(?:这|對|对|能|以上)",
    r"不要写别的|每[句个個]?(?:单独|單獨)|单独一行|有助于回答|首先需要查清|最多写|请(?:提供|告诉|问|把|只根据)",
    r"以上文(?:中|字)?的?描述|上面的文字",
    r"申し訳|すみません|お役に立て|(?:わかり|分かり|見つかり|存在し|でき)(?:ません|かね)",
    r"(?:記載|言及|情報|説明)(?:が|は|され)?(?:てい)?(?:ない|ません|なく|いません|ありません|おりません)",
    r"以下(?:は|の|に|が)|(?:AI|言語モデル)(?:として|アシスタント|です|なので)",
    r"(?:はい|もちろん|承知しました|かしこまりました)(?:[、。！!]|です)",
)
_EMPTY = r"^\W*(?:n/?a|none|unknown|not applicable|no answer|yes|no|ok|okay|sure)\W*$"
_CANNED = re.compile(rf"(?i)\b(?:{'|'.join(_ENGLISH)})|(?:{'|'.join(_EAST_ASIAN)})|{_EMPTY}")
_HEADING = (":", "：")
_ENDS = tuple("?？.。!！…；;\"'”’」』)）")


def clean_recall(recalled: Mapping[ClueKind, str], question: str, texts: SourceText) -> tuple[Clue, ...]:
    """Keep the usable lines of what was recalled: no list marks, canned replies, echoes of the question or repetitions.

    A line that nearly repeats sentences of the text becomes those sentences, and has their place.
    """
    clues: list[Clue] = []
    for kind, raw in recalled.items():
        lines = [" ".join(raw.split())] if kind == "answer" else raw.splitlines()  # an answer is one, or none
        for line in map(_strip_marks, lines):
            for clue in _clues(line, kind, question, texts):
                if not any(_same(clue, other) for other in clues):
                    clues.append(clue)
    return tuple(clues[:MAX_CLUES])


def merge_clues(first: Sequence[Clue], others: Sequence[Clue]) -> tuple[Clue, ...]:
    """Join the first clues and those others that say something else."""
    return (*first, *(clue for clue in others if not any(_same(clue, other) for other in first)))


def is_canned(text: str) -> bool:
    """Return whether a text is what models say instead of an answer."""
    return _CANNED.search(text) is not None


def is_echo(text: str, question: str) -> bool:
    """Return whether a text says nothing that the question does not.

    A sentence may repeat most of a question and name what was asked for. In scripts without spaces, where terms are
    characters, a name is some of them: that many new ones are no echo.
    """
    own, asked = frozenset(terms(text)), frozenset(terms(question))
    names = sum(term >= FIRST_UNSPACED for term in own - asked) >= NAME
    return (len(own & asked) >= ECHO * len(own) and not names) or content_stems(text) <= content_stems(question)


def _clues(line: str, kind: ClueKind, question: str, texts: SourceText) -> list[Clue]:
    """Return a line as one clue if it stands in the text as a whole, else each of its sentences as a clue.

    Of a line that is canned or an echo, only the sentences that stand in the text are kept; likewise what is left of
    a last sentence that was cut off.
    """
    whole = _clue(line, kind, question, texts)
    if whole and whole.place:
        return [whole]
    hollow = is_canned(line) or is_echo(line, question)
    spans = list(sentences(line))
    whole_sentences = spans if len(spans) == 1 or line.endswith(_ENDS) else spans[:-1]
    pieces = ((span, _clue(_strip_marks(line[slice(*span)]), kind, question, texts)) for span in spans)
    return [clue for span, clue in pieces if clue and (clue.place or (span in whole_sentences and not hollow))]


def _clue(text: str, kind: ClueKind, question: str, texts: SourceText) -> Clue | None:
    if not _says_something(text, kind) or is_echo(text, question):
        return None
    if kind == "question":
        return Clue(text, kind) if text.endswith(("?", "？")) and not is_canned(text) else None
    if place := texts.find(text):
        found = texts.at(place)
        return None if is_echo(found, question) else Clue(found, kind, place)
    if is_canned(text) or text.endswith(_HEADING):
        return None
    return Clue(text, "question" if kind == "span" and text.endswith(("?", "？")) else kind)


def _strip_marks(line: str) -> str:
    """Strip marks, labels, quotes and endless repetitions from a line."""
    text, before = _SPECIAL.sub(" ", line)[:LONGEST_LINE].strip(_QUOTES), ""
    while text != before:
        before = text
        for pattern in (_MARK, _LABEL, _LEAD_IN):
            text = pattern.sub("", text).strip(_QUOTES)
    return _TWICE.sub(_once, _LOOP.sub(_once, text)).strip()


def _once(loop: re.Match[str]) -> str:
    said = loop[1]
    return said.rstrip() if any(character.isalpha() for character in said) else loop[0]


def _says_something(text: str, kind: ClueKind) -> bool:
    said = terms(text)
    if len(frozenset(said)) < SHORTEST.get(kind, SHORTEST_OTHERWISE):
        return False
    return len(said) < LONG_ENOUGH_TO_VARY or len(frozenset(said)) >= VARIED * len(said)


def _same(one: Clue, other: Clue) -> bool:
    if one.place and other.place:
        return one.place.overlaps(other.place)
    first, second = frozenset(terms(one.text)), frozenset(terms(other.text))
    return len(first & second) >= SAME * len(first | second) and numbers(one.text) == numbers(other.text)
