"""What the tools that begin jobs were given: one model for each, which a resumed job reads back from disk."""

from __future__ import annotations

from typing import ClassVar

from memorag_core.errors import InputError
from memorag_core.ingest import from_text, is_url
from memorag_core.types import Document, Source
from memorag_mcp.inputs import ReadLimits, source_of
from memorag_mcp.jobs.call import Call


class ReadingCall(Call):
    """A call that reads: a text, or what is at an absolute path."""

    text: str = ""
    path: str = ""
    title: str = ""
    include: list[str] | None = None
    exclude: list[str] | None = None

    def documents(self) -> list[Document]:
        """Return the text as documents; none where a path was given. Raises `InputError` for neither or both."""
        if not self.text and not self.path:
            raise InputError("What was given is empty; there is nothing to memorize. Give either text or path.")
        if self.text and self.path:
            raise InputError("Give either text or path, one of them: the text itself, or a file or folder to read.")
        if (self.include or self.exclude) and (self.text or is_url(self.path)):
            raise InputError(
                "include and exclude choose among the files of a folder; leave them out, or give its path."
            )
        return [from_text(self.text, self.title)] if self.text else []

    def sources(self, may: ReadLimits) -> list[Source]:
        """Return what is at the path. Raises what `source_of` raises."""
        given = Source(self.path, tuple(self.include or ()), tuple(self.exclude or ()))
        return [source_of(given, may)]


class MemorizeContext(ReadingCall):
    """Arguments of memorize_context."""

    tool: ClassVar[str] = "memorize_context"
    name: str = ""

    @property
    def what(self) -> str:
        return f"memorize {self.name or self.title or self.path or 'a text'}"


class AddDocuments(ReadingCall):
    """Arguments of add_documents."""

    tool: ClassVar[str] = "add_documents"
    context_id: str

    @property
    def what(self) -> str:
        return f"add to {self.context_id}"


class SyncContext(Call):
    """Arguments of sync_context."""

    tool: ClassVar[str] = "sync_context"
    context_id: str

    @property
    def what(self) -> str:
        return f"sync {self.context_id}"


class RemoveDocument(Call):
    """Arguments of remove_document."""

    tool: ClassVar[str] = "remove_document"
    context_id: str
    document_id: str

    @property
    def what(self) -> str:
        return f"remove {self.document_id} from {self.context_id}"
