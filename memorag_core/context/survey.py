"""Look over a store: what each context holds, or what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from memorag_core.context.files import info_of
from memorag_core.context.store import ContextStore
from memorag_core.errors import MemoRAGError, UnknownContext
from memorag_core.types import ContextInfo


@dataclass(frozen=True, slots=True)
class Survey:
    """What a store holds: contexts that are whole, in order of their ids, and what is wrong with the others, by id."""

    contexts: list[ContextInfo]
    damaged: dict[str, str]


def survey(store: ContextStore) -> Survey:
    """Survey every context once, by what the store can tell without reading it; one forgotten meanwhile is left out."""
    contexts: list[ContextInfo] = []
    damaged: dict[str, str] = {}
    for context_id in store.ids():
        try:
            contexts.append(info_of(context_id, store.check(context_id)))
        except UnknownContext:
            continue
        except MemoRAGError as error:
            damaged[context_id] = str(error)
    return Survey(contexts, damaged)
