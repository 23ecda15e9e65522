"""The tools that ask a context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from memorag_core.config import MAX_HITS
from memorag_core.engine import MemoRAG
from memorag_core.query.query import MAX_QUESTION
from memorag_core.types import EVERYTHING, Answer, OnText, Scope
from memorag_mcp.jobs.run import Ctx
from memorag_mcp.protocol.apps import SHOWN_BY_PAGE
from memorag_mcp.protocol.sdk_server import ContextServer
from memorag_mcp.schemas.answers import AnswerResult, ClueResult, CluesResult, EvidenceResult, PassageResult
from memorag_mcp.tools.fields import (
    READS,
    ContextField,
    MoreContexts,
    OnlyField,
    QuestionField,
    WaitForMemory,
    scope_of,
)

MAX_RESULT_TOKENS = 16_000
MOST_PASSAGES = "The most passages to return; left out, as many as fit into `tokens`"
MOST_TOKENS = "The most tokens of text; left out, about as much as one answer needs, or with k, room for all of them"


def each(context_id: str, more_contexts: Sequence[str] | None) -> list[str]:
    """The contexts to ask, each once."""
    return list(dict.fromkeys([context_id, *(more_contexts or ())]))


def complete(engine: MemoRAG, context_ids: Sequence[str], wanted: bool) -> None:
    """Where that is wanted, make the memory of each context that has none yet, or wait while others make it."""
    for context_id in context_ids if wanted else ():
        engine.complete(context_id)


def lack_memory(engine: MemoRAG, context_ids: Sequence[str]) -> bool:
    """Whether the memory of a context is not made yet."""
    return any(engine.info(context_id).ready == "evidence" for context_id in context_ids)


def say_searched(engine: MemoRAG, context_ids: Sequence[str], scope: Scope) -> str | None:
    """What a scope leaves of contexts, where it leaves a part."""
    return None if scope == EVERYTHING else engine.describe_scope(context_ids, scope)


def add_question_tools(server: ContextServer, engine: MemoRAG) -> None:
    @server.tool(title="Recall clues", annotations=READS, meta=SHOWN_BY_PAGE)
    async def recall_clues(
        context_id: ContextField,
        question: QuestionField,
        more_contexts: MoreContexts = None,
        only: OnlyField = None,
        wait_for_memory: WaitForMemory = False,
    ) -> CluesResult:
        """Recall from memory what may bear on a question: spans of the text and follow-up questions. Clues are leads
        to search with, not evidence; each says whether the text bears it out."""
        asked, scope = each(context_id, more_contexts), scope_of(only)

        def work() -> CluesResult:
            searched = say_searched(engine, asked, scope)
            complete(engine, asked, wait_for_memory)
            lacking = lack_memory(engine, asked)
            return CluesResult(
                context_id=context_id,
                more_contexts=asked[1:] or None,
                question=question,
                searched=searched,
                clues=[ClueResult.of(clue) for clue in engine.recall(asked, question, scope)],
                without_memory=lacking,
            )

        return await server.ask(work)

    @server.tool(title="Retrieve evidence", annotations=READS, meta=SHOWN_BY_PAGE)
    async def retrieve_evidence(
        context_id: ContextField,
        question: QuestionField,
        more_contexts: MoreContexts = None,
        only: OnlyField = None,
        k: Annotated[int | None, Field(ge=1, le=MAX_HITS, description=MOST_PASSAGES)] = None,
        tokens: Annotated[int | None, Field(ge=16, le=MAX_RESULT_TOKENS, description=MOST_TOKENS)] = None,
        use_clues: Annotated[bool, Field(description="Recall clues first and search with them too")] = True,
        wait_for_memory: WaitForMemory = False,
    ) -> EvidenceResult:
        """Find the passages of a context that bear on a question, verbatim, with document, page and character offsets,
        best first. Searches with the question and with the clues that memory recalls for it. The tool to use where you
        write the answer yourself; ask again in other words where the passages do not settle it."""
        budget, asked = tokens or (MAX_RESULT_TOKENS if k else None), each(context_id, more_contexts)
        scope = scope_of(only)

        def work() -> EvidenceResult:
            searched = say_searched(engine, asked, scope)
            complete(engine, asked, use_clues and wait_for_memory)
            lacking = use_clues and lack_memory(engine, asked)
            clues = engine.recall(asked, question, scope) if use_clues else ()
            passages = engine.retrieve(asked, question, clues, k, budget, scope)
            return EvidenceResult(
                context_id=context_id,
                more_contexts=asked[1:] or None,
                question=question,
                searched=searched,
                clues=[ClueResult.of(clue) for clue in clues],
                passages=[PassageResult.of(passage) for passage in passages],
                without_memory=lacking,
            )

        return await server.ask(work)

    @server.tool(title="Answer a question", annotations=READS, meta=SHOWN_BY_PAGE)
    async def answer(
        ctx: Ctx,
        context_id: ContextField,
        question: QuestionField,
        more_contexts: MoreContexts = None,
        only: OnlyField = None,
        task: Annotated[
            Literal["memorag", "qa"],
            Field(description="memorag: clues, evidence, then an answer with citations; qa: from memory alone, faster"),
        ] = "memorag",
        use_memory_answer: Annotated[
            bool, Field(description="By memorag: search with the memory's own answer too; slower")
        ] = False,
        wait_for_memory: WaitForMemory = False,
    ) -> AnswerResult:
        """Answer a question about a memorized context, with verbatim citations (document, page, offsets, quote). The
        text is written by the server's own model, or is sentences of the documents where that is a small one. `claims`
        tells which quotes bear out each sentence; where `supported` is false, say to the user what `note` says."""
        asked, scope = each(context_id, more_contexts), scope_of(only)

        def work(on_text: OnText) -> tuple[Answer, str | None]:
            searched = say_searched(engine, asked, scope)
            complete(engine, asked, wait_for_memory)
            return engine.answer(asked, question, task, on_text, use_memory_answer, scope), searched

        return AnswerResult.of(asked, *await server.ask_aloud(ctx, work), engine.advise())

    @server.tool(title="Summarize a context", annotations=READS, meta=SHOWN_BY_PAGE)
    async def summarize(
        ctx: Ctx,
        context_id: ContextField,
        focus: Annotated[str, Field(max_length=MAX_QUESTION, description="A topic to keep to")] = "",
        words: Annotated[int, Field(ge=20, le=2000, description="About how long")] = 80,
        wait_for_memory: WaitForMemory = False,
    ) -> AnswerResult:
        """Summarize a memorized context, whole or on one topic, with verbatim citations."""

        def work(on_text: OnText) -> Answer:
            complete(engine, [context_id], wait_for_memory)
            return engine.summarize(context_id, focus or None, words, on_text)

        return AnswerResult.of([context_id], await server.ask_aloud(ctx, work), advice=engine.advise())
