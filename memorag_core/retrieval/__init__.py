"""Retrievers. A new one: a file beside these, and a choice here."""

from memorag_core.config import Profile
from memorag_core.models.registry import Weights
from memorag_core.retrieval.base import Index, Retriever


def open_retriever(profile: Profile, weights: Weights) -> Retriever:
    """The retriever of the profile's embedder."""
    from memorag_core.retrieval.dense import DenseRetriever

    name = profile.embedder
    return DenseRetriever(weights.source(name), weights.device, name, weights.revision(name))


__all__ = ["Index", "Retriever", "open_retriever"]
