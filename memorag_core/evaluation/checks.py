"""Clues and citations that a user is shown, against the text."""

from __future__ import annotations

from collections.abc import Sequence

from memorag_core.evaluation.case import Case
from memorag_core.evaluation.records import Checks
from memorag_core.query.clues import clean_recall
from memorag_core.types import Citation, Clue


def check_answer(case: Case, question: str, clues: Sequence[Clue], citations: Sequence[Citation]) -> Checks:
    """How many clues and citations there are, and how many of them are as they must be."""
    verified = [(clue.text, clue.place) for clue in clues if clue.place]
    return Checks(
        clues=len(clues),
        refused=sum(_is_refused(clue, question, case) for clue in clues),
        verified=len(verified),
        verbatim=sum(text == case.text[place.start : place.end] for text, place in verified),
        citations=len(citations),
        exact=sum(citation.quote == case.text[citation.start : citation.end] for citation in citations),
    )


def _is_refused(clue: Clue, question: str, case: Case) -> bool:
    """Whether the filter of canned replies and echoes would keep nothing of the clue."""
    return not clean_recall({clue.kind: clue.text}, question, case.texts)
