"""Add documents to those of a context, or remove one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from memorag_core.errors import InputError, quote_name
from memorag_core.text.ids import unique
from memorag_core.types import Document

NEWER = "It replaced what was read from the same place before."


def append_documents(held: Sequence[Document], added: Sequence[Document]) -> tuple[Document, ...]:
    """Return the documents of a context with more of them behind, each new text once.

    What was read from the same place before is replaced where it stands, under its id, so that old and new are never
    side by side. A text that is there already is not added again, so that adding may be tried again; an id that is
    taken by another text gets a number.
    """
    documents = list(held)
    for document in added:
        before = _place_of(document, documents)
        if before is not None and documents[before].text != document.text:
            notice = " ".join(filter(None, (document.notice, NEWER)))
            documents[before] = replace(document, id=documents[before].id, notice=notice)
        elif document.text not in {other.text for other in documents}:
            taken = {other.id for other in documents}
            documents.append(replace(document, id=unique(document.id, taken)))
    return tuple(documents)


def _place_of(document: Document, documents: Sequence[Document]) -> int | None:
    """Where the document stands that was read from the same place, if any was."""
    places = (number for number, other in enumerate(documents) if other.source == document.source)
    return next(places, None) if document.source else None


def remove_document(held: Sequence[Document], document_id: str, context_id: str) -> tuple[Document, ...]:
    """Return the documents of a context without one of them.

    Raises:
        InputError: there is none of that id, or no other.
    """
    kept = tuple(document for document in held if document.id != document_id)
    if len(kept) == len(held):
        names = ", ".join(quote_name(document.id) for document in held)
        raise InputError(
            f"The context {quote_name(context_id)} has no document {quote_name(document_id)}; it has: {names}."
        )
    if not kept:
        raise InputError(
            f"{quote_name(document_id)} is the only document of the context {quote_name(context_id)}, and a context "
            f"without any is none. Forget the context instead (memorag forget {quote_name(context_id)})."
        )
    return kept
