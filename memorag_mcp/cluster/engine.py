"""The engine of a front: what needs models is done by replicas, the rest here, over the shared store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.config import Settings
from memorag_core.engine import MemoRAG
from memorag_core.errors import Busy, Cancelled, MemoRAGError
from memorag_core.query.query import MAX_WORDS, check_question, check_range, split_ids
from memorag_core.runtime import Runtime
from memorag_core.types import (
    EVERYTHING,
    Answer,
    Clue,
    ContextInfo,
    OnProgress,
    OnText,
    Passage,
    Progress,
    Scope,
    Task,
    ignore_progress,
    ignore_text,
)
from memorag_mcp.cluster.worker import Event
from memorag_mcp.jobs.call import Call
from memorag_mcp.jobs.job import Job

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

TRIES = 3
LOST = (RayError, DeploymentUnavailableError, ReplicaUnavailableError)


class Replicas:
    """The replicas of a deployment, asked for one owner."""

    def __init__(self, handle: DeploymentHandle[Any], owner: str) -> None:
        self._handle = handle
        self.owner = owner

    def ask(self, context: str, method: str, hear: Callable[[Any], None], *values: object) -> Any:
        """Call a method of a replica where the context is warm; return its result, and `hear` what it tells before.

        A replica that is lost is replaced by another one as long as no text was heard of it.

        Raises:
            Busy: too many wait, or replicas were lost again and again.
            MemoRAGError: what the replica raised.
        """
        where = self._handle.options(method_name=method, multiplexed_model_id=f"{self.owner}/{context}", stream=True)
        for _ in range(TRIES):
            heard = False
            try:
                for event in _follow(where.remote(self.owner, *values)):
                    if event.kind == "result":
                        return event.value
                    hear(event.value)
                    heard |= isinstance(event.value, str)  # progress can be told twice, the pieces of a text cannot
            except BackPressureError as error:
                raise Busy("Too many wait for the models. Try again in a moment.") from error
            except RayTaskError as error:
                raise _as_raised(error.cause) from error
            except LOST as error:
                if heard:
                    raise Busy("The machine that worked on this was lost. Try again.") from error
        raise Busy("The machines that work on this were lost again and again. Try again in a moment.")

    def work(self, job: Job, call: Call) -> BaseModel:
        """Do a job's call at a replica: one for each context, or for what is to be one."""

        def hear(told: Progress | BaseModel) -> None:
            if isinstance(told, Progress):
                job.report(told)
            else:
                job.publish(told)

        result: BaseModel = self.ask(_context_of(call), "work", hear, job.record, call)
        return result


class ClusterEngine(MemoRAG):
    """The facade, for a front: it has no models."""

    def __init__(self, settings: Settings, shared: Runtime, questions: Replicas, memories: Replicas) -> None:
        super().__init__(settings, shared=shared)
        self._questions = questions
        self._memories = memories

    def complete(self, context_id: str, on_progress: OnProgress = ignore_progress) -> ContextInfo:
        """As `MemoRAG.complete`."""
        held = self.info(context_id)
        if held.ready == "memory":
            return held
        self._ask(self._memories, "complete", ignore_text, context_id=context_id)
        return self.info(context_id)

    def recall(self, context_id: str | Sequence[str], question: str, scope: Scope = EVERYTHING) -> tuple[Clue, ...]:
        """As `MemoRAG.recall`."""
        check_question(question)
        clues: tuple[Clue, ...] = self._ask(
            self._questions, "recall", ignore_text, context_id=context_id, question=question, scope=scope
        )
        return clues

    def retrieve(
        self,
        context_id: str | Sequence[str],
        question: str,
        clues: Sequence[Clue] = (),
        k: int | None = None,
        tokens: int | None = None,
        scope: Scope = EVERYTHING,
    ) -> tuple[Passage, ...]:
        """As `MemoRAG.retrieve`."""
        values = {"context_id": context_id, "question": question, "clues": clues, "k": k, "tokens": tokens}
        passages: tuple[Passage, ...] = self._ask(self._questions, "retrieve", ignore_text, **values, scope=scope)
        return passages

    def answer(
        self,
        context_id: str | Sequence[str],
        question: str,
        task: Task = "memorag",
        on_text: OnText = ignore_text,
        use_memory_answer: bool = False,
        scope: Scope = EVERYTHING,
    ) -> Answer:
        """As `MemoRAG.answer`."""
        check_question(question)
        values = {"context_id": context_id, "question": question, "task": task, "scope": scope}
        answer: Answer = self._ask(self._questions, "answer", on_text, **values, use_memory_answer=use_memory_answer)
        return answer

    def summarize(
        self, context_id: str, focus: str | None = None, words: int = 80, on_text: OnText = ignore_text
    ) -> Answer:
        """As `MemoRAG.summarize`."""
        check_range("words", words, MAX_WORDS)
        values = {"context_id": context_id, "focus": focus, "words": words}
        answer: Answer = self._ask(self._questions, "summarize", on_text, **values)
        return answer

    def _ask(self, replicas: Replicas, method: str, hear: OnText, **values: Any) -> Any:
        """Have a replica call a method of its engine, which raises what this raises."""
        return replicas.ask(split_ids(values["context_id"])[0], "ask", hear, method, values)


def _follow(response: Any) -> Iterator[Event]:
    """Yield what a replica tells, its signs of life left out; a cancel of the work here stops it there."""
    try:
        for event in response:
            raise_if_cancelled()
            if event.kind == "error":
                raise _as_raised(event.value)
            if event.kind != "alive":
                yield event
    except Cancelled:
        response.cancel()
        raise


def _as_raised(error: Exception) -> Exception:
    """An error of a replica: its own, where somebody who asks can act on it."""
    known = isinstance(error, MemoRAGError | Cancelled | OSError)
    return error if known else RuntimeError(f"a replica broke: {type(error).__name__}: {error}")


def _context_of(call: Call) -> str:
    """The name of the context that a call changes, or will have made."""
    named = getattr(call, "context_id", "") or getattr(call, "name", "")
    return str(named) or hashlib.sha256(call.model_dump_json().encode()).hexdigest()
