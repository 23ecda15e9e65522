"""The models of a profile, and the recipe: all that they decide of a context's encoding.

What the recipe says of a memory is kept beside the models once they were opened. So whoever only indexes, or looks at
what has changed, opens the retriever alone: torch and a language model take longer to load than most of that work.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memorag_core.config import BEACON_MEMORY
from memorag_core.models.api.endpoints import is_remote
from memorag_core.text.standing import CHUNKING

if TYPE_CHECKING:
    from memorag_core.config import Profile
    from memorag_core.generation import Generator
    from memorag_core.memory import MemoryModel
    from memorag_core.models.weights import Weights
    from memorag_core.retrieval import Retriever
    from memorag_core.retrieval.attention import AttentionIndexer
    from memorag_core.retrieval.cross_encoder import CrossEncoder
    from memorag_core.retrieval.entailment import EntailmentModel
    from memorag_core.retrieval.question_kinds import QuestionKinds
    from memorag_core.text.prompts import Templates

RECIPES = "recipes"


class Components:
    """One of each: what remembers, what finds, what writes. `recipe` is JSON, and part of a context's key.

    The retriever is open from the beginning, and all others the first time that nothing is known of their recipe; else
    each is opened when it is first needed. Reranker and entailment model are no part of the recipe: they read at
    question time only, so any context can be asked with or without.
    """

    def __init__(self, profile: Profile, weights: Weights, templates: Templates) -> None:
        """Open what a profile names.

        Raises:
            InputError: no memory of that kind, or one that cannot run as it was asked to.
            ModelUnavailable: weights that cannot be had, or an extra that is missing.
        """
        from memorag_core.retrieval import open_retriever

        self._profile, self._weights, self.templates = profile, weights, templates
        self.retriever: Retriever[Any] = open_retriever(profile, weights)
        embedder = {"model": self.retriever.model_id, "revision": self.retriever.revision} | self.retriever.settings()
        self.recipe: dict[str, Any] = {
            "embedder": embedder,
            "chunk_tokens": min(profile.chunk, self.retriever.longest_passage),
            "chunking": CHUNKING,
        } | self._describe_memory()

    @cached_property
    def memory(self) -> MemoryModel[Any]:
        """What remembers."""
        from memorag_core.memory import open_memory

        memory = open_memory(self._profile, self._weights)
        memory.templates = self.templates
        memory.storage = self._profile.storage
        return memory

    @cached_property
    def attention(self) -> AttentionIndexer | None:
        """What recalls by attention; None where the profile knows no heads for it, or the memory attends itself."""
        from memorag_core.retrieval import open_attention

        return None if self.memory.attends else open_attention(self._profile, self._weights)

    @cached_property
    def generator(self) -> Generator:
        """What writes."""
        from memorag_core.generation import open_generator

        return open_generator(self._profile.generator_model, self._weights)

    @cached_property
    def reranker(self) -> CrossEncoder | None:
        """What reads the first candidates again; None without one."""
        from memorag_core.retrieval import open_reranker

        return open_reranker(self._profile, self._weights)

    @cached_property
    def entailment(self) -> EntailmentModel | None:
        """What judges claims beside the rules; None without one."""
        from memorag_core.retrieval import open_entailment

        return open_entailment(self._profile, self._weights)

    @property
    def chunk_tokens(self) -> int:
        """The most tokens of a retrieval chunk, in the retriever's tokens."""
        return int(self.recipe["chunk_tokens"])

    @cached_property
    def question_kinds(self) -> QuestionKinds:
        """What tells broad questions from others."""
        from memorag_core.retrieval.question_kinds import QuestionKinds

        return QuestionKinds(self.retriever)

    @property
    def opened(self) -> int:
        """A number that grows with each model that is opened."""
        return len(vars(self)) + self._weights.opened

    def open_all(self) -> None:
        """Open what is not open yet."""
        _ = self.memory, self.attention, self.generator, self.reranker, self.entailment

    def _describe_memory(self) -> dict[str, Any]:
        """What the recipe says of memory and attention: as it was kept, else by opening all models, and kept."""
        path = self._find_record()
        if path and path.is_file():
            with suppress(OSError, ValueError):
                kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
                return kept
        self.open_all()
        memory, attention = self.memory, self.attention
        described: dict[str, Any] = {"memory": {"kind": memory.kind} | memory.identity() | memory.settings()}
        if attention:
            described["attention"] = attention.settings()
        if path:
            with suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(described), encoding="utf-8")
        return described

    def _find_record(self) -> Path | None:
        """Where the description is kept: by all that decides it.

        None where a model is on the hub, which may have a newer one, or of beacons, whose base only their weights name.
        """
        profile, weights = self._profile, self._weights
        names = (profile.memory_model, profile.generator_model, profile.reranker, profile.entailment)
        revisions = [name if is_remote(name) else weights.revision(name) for name in names if name]
        if not all(revisions) or profile.memory == BEACON_MEMORY:
            return None
        code = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("memory/*.py"))]
        libraries = [version(name) for name in ("torch", "transformers")]
        chosen = (profile, self.templates, revisions, weights.device, weights.settings.weights, libraries)
        digest = hashlib.sha256(repr(chosen).encode() + b"".join(code)).hexdigest()[:32]
        return weights.settings.models_dir / RECIPES / f"{digest}.json"
