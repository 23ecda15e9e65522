"""The MemoRAG engine: memorize a long text once, ask it often, with answers that say where they come from."""

from typing import TYPE_CHECKING

from memorag_core.config import PROFILES, Profile, Settings
from memorag_core.ingest import from_path, from_text
from memorag_core.types import Answer, Chunk, Citation, Clue, ContextInfo, Document, Passage, Progress, Scope

if TYPE_CHECKING:
    from memorag_core.engine import MemoRAG

__all__ = [
    "PROFILES",
    "Answer",
    "Chunk",
    "Citation",
    "Clue",
    "ContextInfo",
    "Document",
    "MemoRAG",
    "Passage",
    "Profile",
    "Progress",
    "Scope",
    "Settings",
    "from_path",
    "from_text",
]


def __getattr__(name: str) -> object:
    """Import the engine when it is asked for: the processes that read files start in half the time without it."""
    if name != "MemoRAG":
        raise AttributeError(f"module 'memorag_core' has no attribute {name!r}")
    from memorag_core.engine import MemoRAG

    return MemoRAG
