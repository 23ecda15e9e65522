"""What the models are asked, in English and Chinese, and the pure functions that fill it in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "zh"]

_HAN = re.compile(r"[\u3400-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Prompts:
    """Templates of one language; the fields in braces are filled with `str.format`."""

    gist: str
    memory: str
    spans: str
    questions: str
    rewrite: str
    qa: str
    answer: str
    key_points: str
    summary: str
    focus: str
    unknown: str


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
    rewrite="Question: {question}\nRewrite the question so that it can be understood and looked up without the text.",
    qa="Question: {question}\nAnswer the question from the text, in one or two sentences.",
    answer=(
        "Read these passages of a long text.\n\n{evidence}\n\nQuestion: {question}\n"
        "Answer the question from the passages, in one or two sentences. "
        "If the passages do not answer it, say: {unknown}"
    ),
    key_points="List the key points of the text{focus}, each in one line.",
    summary=(
        "Read these passages of a long text.\n\n{evidence}\n\n"
        "Write a summary of the text{focus} in about {words} words, from the passages only."
    ),
    focus=" about {topic}",
    unknown="The text does not say.",
)

CHINESE = Prompts(
    gist="{text}\n\n请把上面的文字压缩成简短的要点，保留所有人名、地名、日期、数字和决定。",
    memory="以下是你对一篇长文各部分的记忆：\n\n{gists}",
    spans="问题：{question}\n原文中哪些句子有助于回答这个问题？最多写三句，每句单独一行，不要写别的内容。",
    questions="问题：{question}\n要根据原文回答它，首先需要查清什么？最多写三个简短而具体的问题，每个单独一行，不要写别的内容。",
    rewrite="问题：{question}\n请改写这个问题，使它脱离原文也能理解和检索。",
    qa="问题：{question}\n请根据原文用一两句话回答。",
    answer=(
        "请阅读一篇长文中的以下段落。\n\n{evidence}\n\n问题：{question}\n"
        "请根据这些段落用一两句话回答；如果段落中没有答案，请说：{unknown}"
    ),
    key_points="请列出原文{focus}的要点，每点一行。",
    summary="请阅读一篇长文中的以下段落。\n\n{evidence}\n\n请只根据这些段落，用大约{words}个词概括原文{focus}。",
    focus="中关于{topic}",
    unknown="原文没有提到。",
)


def language_of(text: str) -> Language:
    """`zh` where at least a fifth of the letters are Han characters, else `en`."""
    letters = len(_LETTER.findall(text))
    return "zh" if letters and len(_HAN.findall(text)) / letters >= 0.2 else "en"


def prompts_for(text: str) -> Prompts:
    """The templates of the language of `text`."""
    return CHINESE if language_of(text) == "zh" else ENGLISH


def numbered(passages: Sequence[str]) -> str:
    """Passages under the numbers [1], [2] …, a blank line between them."""
    return "\n\n".join(f"[{number}] {passage}" for number, passage in enumerate(passages, start=1))


def render_answer(prompts: Prompts, question: str, passages: Sequence[str]) -> str:
    """The question over its evidence."""
    return prompts.answer.format(evidence=numbered(passages), question=question, unknown=prompts.unknown)


def render_summary(prompts: Prompts, passages: Sequence[str], focus: str | None, words: int) -> str:
    """The request for a summary of about `words` words over its evidence."""
    return prompts.summary.format(evidence=numbered(passages), focus=render_focus(prompts, focus), words=words)


def render_focus(prompts: Prompts, focus: str | None) -> str:
    """The words that narrow a request to a topic, or nothing."""
    return prompts.focus.format(topic=focus) if focus else ""
