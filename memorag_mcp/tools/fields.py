"""What the tools take, and what they tell clients of themselves."""

from __future__ import annotations

from typing import Annotated

from mcp.types import ToolAnnotations
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from memorag_core.query.query import MAX_CONTEXTS, MAX_QUESTION
from memorag_core.types import EVERYTHING, Scope
from memorag_mcp.schemas.contexts import document_in, id_in, ids_in

PATH = (
    "A file (plain text, Markdown, HTML, PDF, DOCX, PPTX or EPUB) or a folder of such files, where the server "
    "may read; a URL only where it allows that"
)
INCLUDE = "Where path is a folder: read only files that match one of these patterns, such as '*.pdf' or 'notes/**/*.md'"
EXCLUDE = "Where path is a folder: leave out files and folders that match one of these patterns"
LONGEST_NAME, LONGEST_PATH, MOST_PATTERNS = 300, 4096, 100
"""Characters of a name, title, id or pattern, characters of a path, and patterns of a call."""

TextField = Annotated[str, Field(description="The text itself; give either this or a path")]
PathField = Annotated[str, Field(max_length=LONGEST_PATH, description=PATH)]
NameField = Annotated[
    str, Field(max_length=LONGEST_NAME, description="A short id for the context; made from the title if left out")
]
TitleField = Annotated[str, Field(max_length=LONGEST_NAME, description="A title, where text is given")]
IncludeField = Annotated[
    list[Annotated[str, Field(max_length=LONGEST_NAME)]] | None, Field(max_length=MOST_PATTERNS, description=INCLUDE)
]
ExcludeField = Annotated[
    list[Annotated[str, Field(max_length=LONGEST_NAME)]] | None, Field(max_length=MOST_PATTERNS, description=EXCLUDE)
]
ContextField = Annotated[
    str,
    BeforeValidator(id_in),
    Field(max_length=LONGEST_PATH, description="The id of a memorized context, from memorize_context or list_contexts"),
]
DocumentField = Annotated[
    str,
    BeforeValidator(lambda sent: id_in(sent, last=True)),
    Field(max_length=LONGEST_PATH, description="The id of one of its documents, from list_contexts"),
]
MoreContexts = Annotated[
    list[str] | None,
    BeforeValidator(ids_in),
    Field(max_length=MAX_CONTEXTS - 1, description="Ids of further contexts to ask at the same time"),
]
QuestionField = Annotated[
    str, Field(max_length=MAX_QUESTION, description="A question in plain words, in the language of the context")
]
WaitForMemory = Annotated[
    bool,
    Field(description="Wait for memory in the making"),
]


class Only(BaseModel):
    """Conditions that a document meets."""

    model_config = ConfigDict(extra="forbid")

    documents: list[Annotated[str, BeforeValidator(document_in)]] = Field([], description="Ids, titles or file names")
    folders: list[str] = Field([], description="In these folders or below")
    kinds: list[str] = Field([], description="Ends of file names, such as pdf")
    since: str = Field("", description="2024-05-31, 2024-05 or 2024")
    until: str = ""
    first_page: int = 0
    last_page: int = 0


OnlyField = Annotated[
    Only | None, Field(description="Search only documents that meet all of this, and these of their pages")
]


def scope_of(only: Only | None) -> Scope:
    """The engine's scope of what a tool was given."""
    if only is None:
        return EVERYTHING
    lists = {name: tuple(getattr(only, name)) for name in ("documents", "folders", "kinds")}
    return Scope(**lists, since=only.since, until=only.until, first_page=only.first_page, last_page=only.last_page)


READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
FOLLOWS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)
REMOVES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)
Wait = Annotated[
    float | None,
    Field(
        ge=0,
        le=3600,
        description="How long to wait for the end; left out, until it can be asked, or 20 s",
    ),
]
