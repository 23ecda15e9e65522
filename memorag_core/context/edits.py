"""Add documents to those of a context, or remove one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from memorag_core.errors import InputError
from memorag_core.text.ids import unique
from memorag_core.types import Document


def append_documents(held: Sequence[Document], added: Sequence[Document]) -> tuple[Document, ...]:
    """Return the documents of a context with more of them behind.

    A text that is there already is not added again, so that adding may be tried again; an id that is taken by another
    text gets a number.
    """
    documents = list(held)
    for document in added:
        if document.text not in {other.text for other in documents}:
            taken = {other.id for other in documents}
            documents.append(replace(document, id=unique(document.id, taken)))
    return tuple(documents)


def remove_document(held: Sequence[Document], document_id: str, context_id: str) -> tuple[Document, ...]:
    """Return the documents of a context without one of them.

    Raises:
        InputError: there is none of that id, or no other.
    """
    kept = tuple(document for document in held if document.id != document_id)
    if len(kept) == len(held):
        names = ", ".join(document.id for document in held)
        raise InputError(f"The context '{context_id}' has no document '{document_id}'; it has: {names}.")
    if not kept:
        raise InputError(
            f"'{document_id}' is the only document of the context '{context_id}', and a context without any is none. "
            f"Forget '{context_id}' instead (memorag forget {context_id})."
        )
    return kept
