"""Gists as a memory: of every chunk a short text, condensed again until all fit into a budget."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from memorag_core.concurrency.journal import Form
from memorag_core.concurrency.progress import ProgressScope
from memorag_core.memory.base import M, MemoryModel
from memorag_core.text.chunking import split
from memorag_core.text.prompts import Prompts, prompts_for
from memorag_core.types import PARAGRAPH_BREAK, Document

ROUNDS = 8


def gist_of(tokens: int) -> Form[str]:
    """How gists of at most so many tokens are kept while others are written."""
    return Form(f"gist of {tokens}", str.encode, bytes.decode)


class GistMemory(MemoryModel[M]):
    """Gists of `gist` tokens for chunks of `chunk` tokens, condensed again until all fit into `budget` tokens."""

    def __init__(self, chunk: int, gist: int, budget: int) -> None:
        self.chunk = chunk
        self.gist = gist
        self.budget = budget

    @abstractmethod
    def _count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""

    @abstractmethod
    def _shorten(self, texts: Sequence[str], prompts: Prompts, gist: int, progress: ProgressScope) -> list[str]:
        """The gist of each text, of at most `gist` tokens."""

    @abstractmethod
    def _remember_text(self, text: str, notes: dict[str, Any]) -> M:
        """A memory of the gists, in `text`."""

    def settings(self) -> dict[str, Any]:
        own = self.templates.digest_changed("gist", "memory")
        return {"chunk": self.chunk, "gist": self.gist, "budget": self.budget} | ({"prompts": own} if own else {})

    def memorize(self, documents: Sequence[Document], progress: ProgressScope) -> M:
        return self._remember(documents, {}, progress)

    def update(self, memory: M, old: Sequence[Document], new: Sequence[Document], progress: ProgressScope) -> M:
        """Keeps the gist of every part that is still there, wherever it stands; of all, in another language, none."""
        if self._prompts_of(new) != self._prompts_of(old):
            return self.memorize(new, progress)
        texts = {document.id: document.text for document in old}
        notes = memory.notes["gists"]
        known = {texts[note["document"]][note["start"] : note["end"]]: note["gist"] for note in notes}
        return self._remember(new, known, progress)

    def _remember(self, documents: Sequence[Document], known: Mapping[str, str], progress: ProgressScope) -> M:
        """The memory of documents, given the gists of some of their parts."""
        prompts = self._prompts_of(documents)
        parts = [
            (document, start, end)
            for document in documents
            for start, end in split(document.text, self.chunk, self._count)
        ]
        texts = [document.text[start:end] for document, start, end in parts]
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        gists = {**known, **dict(zip(missing, self._condense(missing, prompts, self.gist, progress), strict=True))}
        kept = self._within_budget([gists[text] for text in texts], prompts, progress.silent())
        notes = [
            {"document": document.id, "start": start, "end": end, "gist": gists[text]}
            for (document, start, end), text in zip(parts, texts, strict=True)
        ]
        memory = self._remember_text(prompts.memory.format(gists=kept), {"gists": notes})
        progress.step(1, 1)
        return memory

    def _prompts_of(self, documents: Sequence[Document]) -> Prompts:
        """The templates of the documents' language."""
        return prompts_for("".join(document.text[:2000] for document in documents), self.templates)

    def _condense(self, texts: Sequence[str], prompts: Prompts, gist: int, progress: ProgressScope) -> list[str]:
        """A gist of at most `gist` tokens of each text; a text no longer than that is its own."""
        gists = list(texts)
        long = [number for number, tokens in enumerate(self._count(texts)) if tokens > gist]
        short = self._shorten([texts[number] for number in long], prompts, gist, progress)
        for number, text in zip(long, short, strict=True):
            gists[number] = text
        return gists

    def _within_budget(self, gists: list[str], prompts: Prompts, progress: ProgressScope) -> str:
        """The gists as one text; condensed together, round after round, while they exceed the budget."""
        joined = PARAGRAPH_BREAK.join(gists)
        for _ in range(ROUNDS):
            [total] = self._count([joined])
            if total <= self.budget:
                return joined
            groups = [joined[start:end] for start, end in split(joined, self.chunk, self._count)]
            gist = min(self.chunk // 2, max(self.gist, self.chunk * self.budget // total))
            joined = PARAGRAPH_BREAK.join(self._condense(groups, prompts, gist, progress))
        start, end = split(joined, self.budget, self._count)[0]
        return joined[start:end]
