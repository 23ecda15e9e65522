"""What the tools take, and what they tell clients of themselves."""

from __future__ import annotations

from typing import Annotated

from mcp.types import ToolAnnotations
from pydantic import BeforeValidator, Field

from memorag_core.query.query import MAX_CONTEXTS, MAX_QUESTION
from memorag_mcp.schemas.contexts import id_in, ids_in

ContextField = Annotated[
    str,
    BeforeValidator(id_in),
    Field(description="The id of a memorized context, from memorize_context or list_contexts"),
]
DocumentField = Annotated[
    str,
    BeforeValidator(lambda sent: id_in(sent, last=True)),
    Field(description="The id of one of its documents, from list_contexts"),
]
MoreContexts = Annotated[
    list[str] | None,
    BeforeValidator(ids_in),
    Field(max_length=MAX_CONTEXTS - 1, description="Ids of further contexts to ask at the same time"),
]
QuestionField = Annotated[
    str, Field(max_length=MAX_QUESTION, description="A question in plain words, in the language of the context")
]
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
REMOVES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)
Wait = Annotated[
    float | None,
    Field(ge=0, le=3600, description="How long to wait for the end; left out, 20 s, then a job_id is returned"),
]
