"""The MemoRAG engine: memorize a long text once, ask it often, with answers that say where they come from."""

from memorag_core.config import PROFILES, Profile, Settings
from memorag_core.engine import MemoRAG
from memorag_core.ingest import from_path, from_text
from memorag_core.types import Answer, Chunk, Citation, Clue, ContextInfo, Document, Passage, Progress, Scope

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
