"""Raw recall to clues, and passages to citations: pure text, so that nothing invented passes for the text's own."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import log

from memorag_core.chunking import sentences
from memorag_core.pages import page_of
from memorag_core.types import Citation, Clue, ClueKind, Document, Passage

MAX_CLUES = 6
VERBATIM = 0.8
VERIFIABLE = 5
ECHO = 0.75
SHORTEST = 3

_MARK = re.compile(
    r"^\s*(?:[-*•·–](?!\d)|[（(]?\d{1,2}[.)）、:：](?!\d)|\[\d+\]|[（(]?[一二三四五六七八九十][、.)）])\s*"
)
_QUOTES = "\"'“”‘’「」『』*` "
_TERM = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")
_CANNED = re.compile(
    r"(?i)\b(as an ai|i(?: am|['’]m) (?:sorry|unable|not able)|i can(?:no|['’])t|i do(?:n['’]t| not) (?:have|know)|"
    r"(?:sure|certainly|of course)[,!:]|here (?:are|is) |the text does not|no (?:relevant )?information|"
    r"(?:not|n['’]t) (?:mentioned|provided|specified)|the (?:question|sentences?|text) (?:above|is|are|that)|"
    r"(?:to|the) answer (?:to )?(?:this|the) question)|(?:抱歉|无法|没有提到|未提及|作为一个|以下是)"
)


def terms(text: str) -> list[str]:
    """Lower-case words; every Han character is one, so that scripts without spaces count alike."""
    return _TERM.findall(unicodedata.normalize("NFKC", text).lower())


def clean(recalled: Mapping[ClueKind, str], question: str, bags: Sequence[frozenset[str]]) -> tuple[Clue, ...]:
    """The usable lines of what was recalled: no list marks, canned replies, echoes of the question or repetitions.

    `bags` holds the terms of each chunk: a span of enough words is verified where one chunk has nearly all of them,
    and every number among them.
    """
    asked = set(terms(question))
    seen: set[frozenset[str]] = set()
    clues = []
    for kind, raw in recalled.items():
        for line in raw.splitlines():
            text = _MARK.sub("", line).strip(_QUOTES)
            own = frozenset(terms(text))
            if own in seen or not _usable(text, kind, own, asked):
                continue
            verified = kind == "span" and len(own) >= VERIFIABLE and _best_share(own, bags) >= VERBATIM
            if not verified and _CANNED.search(text):
                continue
            seen.add(own)
            clues.append(Clue(text, kind, verified))
    return tuple(clues[:MAX_CLUES])


def _usable(text: str, kind: ClueKind, own: frozenset[str], asked: set[str]) -> bool:
    if len(own) < SHORTEST:
        return False
    if kind == "question" and not text.endswith(("?", "？")):
        return False
    return len(own & asked) / len(own) < ECHO


def _best_share(words: frozenset[str], bags: Sequence[frozenset[str]]) -> float:
    numbers = {word for word in words if any(character.isdigit() for character in word)}
    return max((len(words & bag) for bag in bags if numbers <= bag), default=0) / len(words)


def cite(
    text: str, question: str, passages: Sequence[Passage], documents: Iterable[Document], most: int = 3
) -> tuple[Citation, ...]:
    """The sentences of the evidence that share most with the answer, rare words counting more; best first.

    Every quote is cut from the document by its offsets, so it is verbatim by construction.
    """
    by_id = {document.id: document for document in documents}
    spans = [
        (passage.chunk.document_id, start, end)
        for passage in passages
        for start, end in sentences(by_id[passage.chunk.document_id].text, passage.chunk.start, passage.chunk.end)
    ]
    bags = [set(terms(by_id[document_id].text[start:end])) for document_id, start, end in spans]
    spread = Counter(word for bag in bags for word in bag)
    answered, asked = set(terms(text)), set(terms(question))
    scores = [
        sum((1.0 if word in answered else 0.3) * log(1 + len(bags) / spread[word]) for word in bag & (answered | asked))
        / (8 + len(bag)) ** 0.5
        for bag in bags
    ]
    best = sorted(range(len(spans)), key=lambda i: (-scores[i], i))[:most]
    floor = scores[best[0]] / 2 if best else 0.0
    return tuple(
        Citation(
            spans[i][0],
            by_id[spans[i][0]].title,
            spans[i][1],
            spans[i][2],
            by_id[spans[i][0]].text[spans[i][1] : spans[i][2]],
            page_of(by_id[spans[i][0]].pages, spans[i][1]),
        )
        for i in best
        if scores[i] > 0 and scores[i] >= floor
    )
