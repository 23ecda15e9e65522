"""Retrievers. A new one: a file beside these, and a row here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from memorag_core.config import Profile
from memorag_core.errors import InputError
from memorag_core.models.api.endpoints import is_remote
from memorag_core.models.weights import Weights
from memorag_core.retrieval.base import Index, Retriever

if TYPE_CHECKING:
    from memorag_core.retrieval.attention import AttentionIndexer
    from memorag_core.retrieval.cross_encoder import CrossEncoder
    from memorag_core.retrieval.entailment import EntailmentModel


def open_retriever(profile: Profile, weights: Weights) -> Retriever[Any]:
    """The retriever of the profile, with its embedder where it has one.

    Raises:
        InputError: no retriever has that name.
        ModelUnavailable: weights that cannot be had, or an extra that is missing.
    """
    if profile.retriever not in RETRIEVERS:
        raise InputError(f"There is no retriever '{profile.retriever}'. Choose one of: {', '.join(RETRIEVERS)}.")
    return RETRIEVERS[profile.retriever](profile, weights)


def _dense(profile: Profile, weights: Weights) -> Retriever[Any]:
    from memorag_core.models.api.embeddings import EmbeddingModel
    from memorag_core.retrieval.dense import DenseRetriever
    from memorag_core.retrieval.dense_api import ApiRetriever

    name = profile.embedder
    if is_remote(name):
        return ApiRetriever(EmbeddingModel(name), weights.device)
    kept = weights.settings.models_dir
    return DenseRetriever(weights.source(name), weights.device, name, weights.revision(name), kept)


def _bge_m3(profile: Profile, weights: Weights) -> Retriever[Any]:
    from memorag_core.retrieval.bge_m3 import BgeM3Retriever

    name = profile.embedder
    if is_remote(name):
        raise InputError(f"The retriever bge-m3 reads a model's weights; with {name}, choose hybrid or dense.")
    return BgeM3Retriever(weights.source(name), weights.device, name, weights.revision(name))


def _bm25(profile: Profile, weights: Weights) -> Retriever[Any]:
    from memorag_core.retrieval.bm25 import Bm25Retriever

    return Bm25Retriever()


def _hybrid(profile: Profile, weights: Weights) -> Retriever[Any]:
    from memorag_core.retrieval.hybrid import HybridRetriever

    return HybridRetriever([_dense(profile, weights), _bm25(profile, weights)])


RETRIEVERS: dict[str, Callable[[Profile, Weights], Retriever[Any]]] = {
    "hybrid": _hybrid,
    "dense": _dense,
    "bge-m3": _bge_m3,
    "bm25": _bm25,
}


def open_attention(profile: Profile, weights: Weights) -> AttentionIndexer | None:
    """Recall by the memory model's own attention; None where the profile knows no heads of it."""
    if not profile.heads:
        return None
    from memorag_core.retrieval.attention import AttentionIndexer

    return AttentionIndexer(weights.question_reader(profile.memory_model), profile.heads)


def open_reranker(profile: Profile, weights: Weights) -> CrossEncoder | None:
    """The cross-encoder of the profile; None where it has none. Raises `ModelUnavailable` as `open_retriever` does."""
    if profile.reranker is None:
        return None
    from memorag_core.retrieval.cross_encoder import CrossEncoder

    return CrossEncoder(weights.source(profile.reranker), weights.device)


def open_entailment(profile: Profile, weights: Weights) -> EntailmentModel | None:
    """The entailment model of the profile; None where it has none. Raises what `open_reranker` raises."""
    if profile.entailment is None:
        return None
    from memorag_core.retrieval.entailment import EntailmentModel

    return EntailmentModel(weights.source(profile.entailment), weights.device)


__all__ = ["RETRIEVERS", "Index", "Retriever", "open_attention", "open_entailment", "open_reranker", "open_retriever"]
