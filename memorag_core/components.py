"""The loaded models of a profile, and the recipe: all that they decide of a context's encoding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from memorag_core.errors import InputError
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


@dataclass(frozen=True)
class Components:
    """One of each: what remembers, what finds, what writes. `recipe` is JSON, and part of a context's key.

    Reranker and entailment model are no part of the recipe: they read at question time only, so any context can be
    asked with or without.
    """

    memory: MemoryModel[Any]
    retriever: Retriever[Any]
    attention: AttentionIndexer | None
    reranker: CrossEncoder | None
    entailment: EntailmentModel | None
    generator: Generator
    recipe: dict[str, Any]
    templates: Templates

    @property
    def chunk_tokens(self) -> int:
        """The most tokens of a retrieval chunk, in the retriever's tokens."""
        return int(self.recipe["chunk_tokens"])

    @cached_property
    def question_kinds(self) -> QuestionKinds:
        """What tells broad questions from others."""
        from memorag_core.retrieval.question_kinds import QuestionKinds

        return QuestionKinds(self.retriever)


def open_components(profile: Profile, weights: Weights, templates: Templates) -> Components:
    """Load what a profile names.

    Raises:
        InputError: no memory of that kind, or one that cannot run as it was asked to.
        ModelUnavailable: weights that cannot be had, or an extra that is missing.
    """
    from memorag_core.generation import open_generator
    from memorag_core.memory import MEMORIES
    from memorag_core.retrieval import open_attention, open_entailment, open_reranker, open_retriever

    if profile.memory not in MEMORIES:
        raise InputError(f"There is no memory '{profile.memory}'. Choose one of: {', '.join(MEMORIES)}.")
    memory = MEMORIES[profile.memory].open(profile, weights)
    memory.templates = templates
    memory.storage = profile.storage
    retriever = open_retriever(profile, weights)
    attention = None if memory.attends else open_attention(profile, weights)
    generator = open_generator(profile.generator_model, weights)
    recipe = {
        "memory": {"kind": memory.kind} | memory.identity() | memory.settings(),
        "embedder": {"model": retriever.model_id, "revision": retriever.revision} | retriever.settings(),
        "chunk_tokens": min(profile.chunk, retriever.longest_passage),
        "chunking": CHUNKING,
    } | ({"attention": attention.settings()} if attention else {})
    readers = open_reranker(profile, weights), open_entailment(profile, weights)
    return Components(memory, retriever, attention, *readers, generator, recipe, templates)
