"""The same text is evidence once, and says where else it stands."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from memorag_core.context.corpus import Corpus
from memorag_core.query.evidence import gather
from memorag_core.retrieval.base import Index
from memorag_core.retrieval.fusion import Found
from memorag_core.types import Chunk, Document

FEE = "A berth costs 20 crowns."


def test_the_same_text_under_the_same_headings_is_shown_once_with_all_its_places() -> None:
    titles = [("north", "Fees"), ("south", "Fees"), ("south", "Fines"), ("east", "Fees")]
    chunks = tuple(Chunk(name, 0, len(FEE), FEE, title) for name, title in titles)
    documents = tuple(Document(name, name, FEE) for name in ("north", "south", "east"))
    corpus = Corpus(documents, chunks, cast(Index, SimpleNamespace()), None)
    found = [Found(number, 1.0 / (1 + number), ("Fee?",)) for number in (1, 0, 2, 3)]
    first, other = gather(found, corpus, 100, lambda texts: [len(text.split()) for text in texts])
    assert first.chunk.place == chunks[1].place
    assert first.also == (chunks[0].place, chunks[3].place)
    assert (other.chunk, other.also) == (chunks[2], ())
    assert len(gather(found, corpus, 1, lambda texts: [9] * len(texts))) == 1
