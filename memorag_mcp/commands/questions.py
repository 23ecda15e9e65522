"""The commands that ask a context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from memorag_core.config import MAX_EVIDENCE_TOKENS, Settings
from memorag_core.engine import MemoRAG
from memorag_core.types import EVERYTHING, Scope, Task
from memorag_mcp.commands import show
from memorag_mcp.commands.common import open_engine
from memorag_mcp.commands.options import AsJson, ContextArgument

Contexts = Annotated[str, typer.Argument(metavar="CONTEXT[,…]", help="The id of a context, or ids of several: A,B.")]
QuestionArgument = Annotated[str, typer.Argument(metavar="QUESTION", help="A question, in the language of the text.")]


def ask(
    settings: Settings,
    context: Contexts,
    question: QuestionArgument,
    from_memory: Annotated[bool, typer.Option("--from-memory", help="Answer from memory alone, uncited.")] = False,
    use_memory_answer: Annotated[
        bool, typer.Option("--use-memory-answer", help="Search with the memory's own answer too.")
    ] = False,
    scope: Scope = EVERYTHING,
    as_json: AsJson = False,
) -> None:
    """Answer a question about one context or several, with citations."""
    engine = open_engine(settings)
    task: Task = "qa" if from_memory else "memorag"
    asked = context.split(",")
    _say_searched(engine, asked, scope)
    show.answer(lambda on_text: engine.answer(asked, question, task, on_text, use_memory_answer, scope), as_json)
    if advice := engine.advise():
        show.notice(advice)


def clues(
    settings: Settings,
    context: Contexts,
    question: QuestionArgument,
    scope: Scope = EVERYTHING,
    as_json: AsJson = False,
) -> None:
    """Show what memory recalls for a question."""
    engine, asked = open_engine(settings), context.split(",")
    _say_searched(engine, asked, scope)
    recalled = engine.recall(asked, question, scope)
    show.as_json(recalled) if as_json else show.clues(recalled)
    if not recalled and any(engine.info(one).ready == "evidence" for one in asked):
        show.notice(show.WITHOUT_MEMORY)


def evidence(
    settings: Settings,
    context: Contexts,
    question: QuestionArgument,
    k: Annotated[int | None, typer.Option("-k", help="The most passages to show.")] = None,
    tokens: Annotated[int | None, typer.Option(help="The most tokens of text to show.")] = None,
    no_clues: Annotated[bool, typer.Option("--no-clues", help="Search with the question alone; no recall.")] = False,
    scope: Scope = EVERYTHING,
    as_json: AsJson = False,
) -> None:
    """Show the passages that bear on a question, verbatim."""
    engine, asked = open_engine(settings), context.split(",")
    _say_searched(engine, asked, scope)
    recalled = () if no_clues else engine.recall(asked, question, scope)
    if tokens is None and k is not None:
        tokens = MAX_EVIDENCE_TOKENS  # who asks for k passages wants them all, not what fits a prompt
    passages = engine.retrieve(asked, question, recalled, k, tokens, scope)
    show.as_json(passages) if as_json else show.passages(passages)


def summarize(
    settings: Settings,
    context: ContextArgument,
    focus: Annotated[str | None, typer.Option(help="A topic to keep to.")] = None,
    words: Annotated[int, typer.Option(help="About how long the summary is.")] = 80,
    as_json: AsJson = False,
) -> None:
    """Summarize a context, with citations."""
    engine = open_engine(settings)
    show.answer(lambda on_text: engine.summarize(context, focus, words, on_text), as_json)


QUESTIONS: dict[str, Callable[..., None]] = {"ask": ask, "clues": clues, "evidence": evidence, "summarize": summarize}


def _say_searched(engine: MemoRAG, asked: Sequence[str], scope: Scope) -> None:
    """Say which part of contexts is searched, where it is a part."""
    if scope != EVERYTHING:
        show.notice(f"searched: {engine.describe_scope(asked, scope)}")
