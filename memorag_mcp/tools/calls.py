"""What the tools that begin jobs were given: one model for each, which a resumed job reads back from disk."""

from __future__ import annotations

from typing import ClassVar

from memorag_core.ingest import Reading
from memorag_core.types import OnProgress
from memorag_mcp.inputs import ReadLimits, Selection, documents_of
from memorag_mcp.jobs.call import Call


class ReadingCall(Call):
    """A call that reads: a text, or what is at an absolute path."""

    text: str = ""
    path: str = ""
    title: str = ""
    include: list[str] | None = None
    exclude: list[str] | None = None

    def read(self, may: ReadLimits, on_progress: OnProgress) -> Reading:
        """Read what was given. Raises what `documents_of` raises."""
        chosen = Selection(self.include or (), self.exclude or ())
        return documents_of(self.text, self.path, self.title, chosen, may, on_progress)


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


class RemoveDocument(Call):
    """Arguments of remove_document."""

    tool: ClassVar[str] = "remove_document"
    context_id: str
    document_id: str

    @property
    def what(self) -> str:
        return f"remove {self.document_id} from {self.context_id}"
