"""What the models are asked, in English and Chinese, and the pure functions that fill it in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from memorag_core.text.terms import HAN
from memorag_core.types import PARAGRAPH_BREAK

Language = Literal["en", "zh"]

_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Prompts:
    """Templates of one language; the fields in braces are filled with `str.format`."""

    gist: str
    memory: str
    spans: str
    questions: str
    qa: str
    answer: str
    key_points: str
    summary: str
    focus: str


ENGLISH = Prompts(
    gist="{text}\n\nCondense the text above into a short gist that keeps every name, place, date, number and decision.",
    memory="Here is what you remember of a long text, part by part:\n\n{gists}",
    spans=(
        "Question: {question}\nWhich sentences of the text help to answer this question? Write up to three of them, "
        "each on a line of its own, and nothing else."
    ),
    questions=(
        "Question: {question}\nTo answer it from the text, what has to be looked up first? Write up to three short, "
        "specific questions, each on a line of its own, and nothing else."
    ),
    qa="Using only the text above, answer briefly: {question}",
    answer="{evidence}\n\nUsing only the text above, answer briefly: {question}",
    key_points="Write down the five most important facts of the text{focus}, each on a line of its own.",
    summary="{evidence}\n\nUsing only the text above, write a summary of it{focus} in about {words} words.",
    focus=" about {topic}",
)

CHINESE = Prompts(
    gist="{text}\n\n请把上面的文字压缩成简短的要点，保留所有人名、地名、日期、数字和决定。",
    memory="以下是你对一篇长文各部分的记忆：\n\n{gists}",
    spans="问题：{question}\n原文中哪些句子有助于回答这个问题？最多写三句，每句单独一行，不要写别的内容。",
    questions="问题：{question}\n要根据原文回答它，首先需要查清什么？最多写三个简短而具体的问题，每个单独一行，不要写别的内容。",
    qa="请只根据上面的文字简短回答：{question}",
    answer="{evidence}\n\n请只根据上面的文字简短回答：{question}",
    key_points="请写出原文{focus}最重要的五个事实，每个单独一行。",
    summary="{evidence}\n\n请只根据上面的文字，用大约{words}个字概括其{focus}内容。",
    focus="中关于{topic}的",
)


@dataclass(frozen=True, slots=True)
class Templates:
    """The templates of every language."""

    en: Prompts = ENGLISH
    zh: Prompts = CHINESE

    def digest_changed(self, *names: str) -> dict[str, str]:
        """Digests of those named templates that are not the built-in ones: `{"gist.zh": "9f86d081884c7d65"}`."""
        pairs = (("en", self.en, ENGLISH), ("zh", self.zh, CHINESE))
        return {
            f"{name}.{language}": hashlib.sha256(getattr(mine, name).encode()).hexdigest()[:16]
            for language, mine, theirs in pairs
            for name in names
            if getattr(mine, name) != getattr(theirs, name)
        }


BUILT_IN = Templates()


def language_of(text: str) -> Language:
    """`zh` where at least a fifth of the letters are Han characters, else `en`."""
    letters = len(_LETTER.findall(text))
    return "zh" if letters and len(HAN.findall(text)) / letters >= 0.2 else "en"


def prompts_for(text: str, templates: Templates = BUILT_IN) -> Prompts:
    """The templates of the language of `text`."""
    return templates.zh if language_of(text) == "zh" else templates.en


def render_answer(prompts: Prompts, question: str, passages: Sequence[str]) -> str:
    """The question over its evidence."""
    return prompts.answer.format(evidence=PARAGRAPH_BREAK.join(passages), question=question)


def render_summary(prompts: Prompts, passages: Sequence[str], focus: str | None, words: int) -> str:
    """The request for a summary of about `words` words over its evidence."""
    evidence = PARAGRAPH_BREAK.join(passages)
    return prompts.summary.format(evidence=evidence, focus=render_focus(prompts, focus), words=words)


def render_focus(prompts: Prompts, focus: str | None) -> str:
    """The words that narrow a request to a topic, or nothing."""
    return prompts.focus.format(topic=focus) if focus else ""
