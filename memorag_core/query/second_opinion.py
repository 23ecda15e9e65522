"""Judge an answer by the rules, and where an entailment model is there, by that too: it doubts, and settles doubts.

The model never overrules that words, names or figures are missing. What it reads as a statement is a claim that says
words of the question again; a mere phrase is read behind its question, and can only be doubted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from memorag_core.query.grounding import RANKS, Judgement, ShownPassage, judge_answer
from memorag_core.text.terms import content_stems

if TYPE_CHECKING:
    from memorag_core.retrieval.entailment import EntailmentModel, Verdict
    from memorag_core.types import Support

LIKELY, SURE = 0.5, 0.9
STATED = 3
"""So many words that carry meaning make a statement."""


def judge(
    answer: str, question: str, passages: Sequence[ShownPassage], model: EntailmentModel | None
) -> tuple[Judgement, ...]:
    """Judge every sentence of an answer by the rules, then by the model where there is one."""
    judged = judge_answer(answer, question, passages)
    return judged if model is None else tuple(_reconsider(one, question, passages, model) for one in judged)


def _reconsider(one: Judgement, question: str, passages: Sequence[ShownPassage], model: EntailmentModel) -> Judgement:
    if one.support == "not found":
        return one
    text = passages[one.passage].around(one.spans)
    words = content_stems(one.claim)
    if len(words) >= STATED and words & content_stems(question):
        return replace(one, support=_decide(one.support, model.judge(text, one.claim)))
    doubted = model.judge(text, f"{question} {one.claim}").contradicts >= LIKELY
    return replace(one, support=RANKS[RANKS.index(one.support) - 1]) if doubted else one


def _decide(support: Support, verdict: Verdict) -> Support:
    """Return how far a statement is borne out, now that the model has read it beside the text."""
    if verdict.contradicts >= LIKELY:
        return "not found"
    if support == "borne out":
        return "borne out" if verdict.entails >= LIKELY else "words found"
    return "borne out" if verdict.entails >= SURE else support
