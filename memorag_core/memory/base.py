"""The one interface of memory models: read a context once, be asked often.

A new kind of memory is one file that says how a context becomes a memory, and another one when its documents change.
Most subclass `KeyValueMemory`: asking, saving and loading are the same for all whose memory is a key-value state that
prompts are decoded over. What remembers in another way subclasses `MemoryModel`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

from memorag_core.concurrency.lru import LRUCache
from memorag_core.concurrency.progress import ProgressScope
from memorag_core.config import Profile, Storage
from memorag_core.models.mapped import map_tensors
from memorag_core.models.weights import Weights
from memorag_core.text.central import told_sentences
from memorag_core.text.prompts import BUILT_IN, Prompts, Templates, prompts_for, render_focus
from memorag_core.types import PARAGRAPH_BREAK, Attended, Document

if TYPE_CHECKING:
    from memorag_core.models.lm.key_values import KeyValues
    from memorag_core.models.lm.language_model import LanguageModel
    from memorag_core.models.lm.prefix import Prefix
    from memorag_core.models.lm.verbatim import VerbatimText
    from memorag_core.models.question_reader import QuestionReader

TENSORS = "memory.safetensors"
NOTES = "memory.json"
LONGEST_VERBATIM = 4_000_000
"""Characters of a context whose sentences are tokenized, some seconds once, so that clues are held to them."""
VERBATIM_TEXTS = 2


class MemoryState(Protocol):
    """What any memory model keeps of a context."""

    @property
    def tokens(self) -> int:
        """Entries of the KV cache that a question attends to."""

    @property
    def notes(self) -> dict[str, Any]:
        """What JSON can hold, for whoever asks what was remembered."""


M = TypeVar("M", bound=MemoryState)


@dataclass(frozen=True)
class Memory:
    """What a memory model keeps of a context: a key-value state, read when it is first needed, and notes."""

    read_state: Callable[[], KeyValues]
    notes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, state: KeyValues, notes: dict[str, Any]) -> Self:
        """The memory of a state that is there."""
        return cls(lambda: state, notes)

    @cached_property
    def state(self) -> KeyValues:
        """What prompts continue."""
        return self.read_state()

    @property
    def tokens(self) -> int:
        """Entries of the key-value state."""
        return self.state.tokens


class MemoryModel(ABC, Generic[M]):
    """A language model that remembers. One instance serves any number of memories; it keeps none itself.

    It needs no retrieval and no server; `model` here is the folder of a model, or its id on the hub:

    >>> from memorag_core import Document
    >>> from memorag_core.concurrency.progress import SILENT
    >>> from memorag_core.memory import LiteMemory
    >>> from memorag_core.models.lm.language_model import LanguageModel
    >>> remembering = LiteMemory(LanguageModel.load(model, "cpu"))
    >>> log = [Document("log", "Log", "The gates were hung in May 1963. The horn was sounded first.")]
    >>> memory = remembering.memorize(log, SILENT)
    >>> answer = remembering.answer(memory, "When were the gates hung?")
    >>> clues, questions = remembering.recall(memory, "Who hung the gates?")

    A document more, or one less, and what need not be read again is not:

    >>> more = [*log, Document("book", "Book", "Amos kept the gate book.")]
    >>> memory = remembering.update(memory, log, more, SILENT)
    >>> memory.state.nbytes > 0
    True

    And kept, to be asked by another process:

    >>> remembering.save(memory, folder)
    >>> remembering.load(folder).notes == memory.notes
    True
    """

    kind: ClassVar[str]
    attends: ClassVar[bool] = False
    templates: Templates = BUILT_IN
    storage: Storage = "half"

    @classmethod
    @abstractmethod
    def open(cls, profile: Profile, weights: Weights) -> Self:
        """The memory model that a profile names, its weights loaded."""

    @abstractmethod
    def memorize(self, documents: Sequence[Document], progress: ProgressScope) -> M:
        """Read the documents once.

        `progress` is told of a step at least at every window. It may raise, and other threads may use the model
        while it runs, so that the model must be whole then.
        """

    @abstractmethod
    def update(self, memory: M, old: Sequence[Document], new: Sequence[Document], progress: ProgressScope) -> M:
        """The memory of `new`, given that `memory` is that of `old` and stays as it is.

        It equals `memorize(new)`, whatever was appended, removed or replaced; what can be kept is not read again.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What besides the weights decides the memory; part of a context's identity."""

    @abstractmethod
    def identity(self) -> dict[str, str]:
        """The weights, as `model`, `revision` and `dtype`; part of a context's identity."""

    @abstractmethod
    def ask(self, memory: M, instructions: Sequence[str], max_new_tokens: int) -> list[str]:
        """Reply to each of the instructions over the memory, which is read and not changed."""

    @abstractmethod
    def save(self, memory: M, folder: Path) -> None:
        """Write the memory into `folder`, `memory.json` among its files."""

    @abstractmethod
    def load(self, folder: Path) -> M:
        """Read back what `save` wrote."""

    def recall(
        self, memory: M, question: str, documents: Sequence[Document] = (), max_new_tokens: int = 48
    ) -> tuple[str, str]:
        """Raw clues for a question: sentences of the text, and questions to look up; one of each a line.

        A model whose decoding is in our hands says sentences of `documents` to the letter, where these are given.
        """
        spans, questions = self.ask(memory, self._recall_prompts(question), max_new_tokens)
        return spans, questions

    def _recall_prompts(self, question: str) -> list[str]:
        prompts = prompts_for(question, self.templates)
        return [template.format(question=question) for template in (prompts.spans, prompts.questions)]

    def attend(self, memory: M, question: str) -> Sequence[Attended]:
        """What a question attends to, document by document; of a kind that `attends`, whose entries stand for places.

        Of other kinds nothing is known, and retrieval heads need keys of all passages (`retrieval.attention`).
        """
        return ()

    def answer(self, memory: M, question: str, max_new_tokens: int = 48) -> str:
        """The answer from memory alone."""
        request = prompts_for(question, self.templates).qa.format(question=question)
        return self.ask(memory, [request], max_new_tokens)[0]

    def key_points(self, memory: M, prompts: Prompts, focus: str | None, max_new_tokens: int = 72) -> str:
        """The context's key points, one a line."""
        request = prompts.key_points.format(focus=render_focus(prompts, focus))
        return self.ask(memory, [request], max_new_tokens)[0]


class KeyValueMemory(MemoryModel[Memory]):
    """A memory model that is a language model here, and whose memories are key-value states of it."""

    def __init__(self, reader: QuestionReader) -> None:
        self.reader = reader
        self._verbatim: LRUCache[tuple[str, ...], VerbatimText] = LRUCache(VERBATIM_TEXTS)

    @property
    def lm(self) -> LanguageModel:
        """The language model, loaded now if need be."""
        return self.reader.whole

    def identity(self) -> dict[str, str]:
        stored_as = {"storage": self.storage} if self.storage != "half" else {}
        return {"model": self.lm.model_id, "revision": self.lm.revision, "dtype": self.lm.precision} | stored_as

    def ask(self, memory: Memory, instructions: Sequence[str], max_new_tokens: int) -> list[str]:
        """Reply to the instructions together over the memory, which is read and not changed."""
        return self.lm.ask(instructions, max_new_tokens, self.prefix(memory), repetition_penalty=1.1)

    def recall(
        self, memory: Memory, question: str, documents: Sequence[Document] = (), max_new_tokens: int = 48
    ) -> tuple[str, str]:
        """As every memory model does; of very long documents, clues are free and looked up in the text afterwards."""
        held = self._hold_to(tuple(document.text for document in documents))
        asked = self._recall_prompts(question)
        spans, questions = self.lm.ask(asked, max_new_tokens, self.prefix(memory), 1.1, held)
        return spans, questions

    def _hold_to(self, texts: tuple[str, ...]) -> VerbatimText | None:
        """What clues are held to: the sentences of some texts. Tokenized once."""
        if not texts or sum(map(len, texts)) > LONGEST_VERBATIM:
            return None
        if (known := self._verbatim.get(texts)) is not None:
            return known
        return self._verbatim.put(texts, self.lm.hold_to(told_sentences(texts)))

    def prefix(self, memory: Memory) -> Prefix:
        """What instructions continue."""
        from memorag_core.models.lm.prefix import Prefix

        return Prefix(self.lm.model, memory.state)

    def _ids(self, documents: Sequence[Document]) -> list[int]:
        """Tokenize all documents, each alone, so that one that is appended later changes no token before it."""
        first, *others = [document.text for document in documents]
        encoded = self.lm.encode([self.lm.chat_head + first, *(PARAGRAPH_BREAK + text for text in others)])
        return [token for tokens in encoded for token in tokens]

    def save(self, memory: Memory, folder: Path) -> None:
        """Write `memory.safetensors` and `memory.json` into `folder`."""
        from memorag_core.models.lm import kv_storage

        kv_storage.save(memory.state, folder / TENSORS, self.storage)
        record = {"next_position": memory.state.next_position, "notes": memory.notes}
        (folder / NOTES).write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")

    def load(self, folder: Path) -> Memory:
        """What `save` wrote, for the model's device and dtype; the model is loaded when the state is first needed."""
        record = json.loads((folder / NOTES).read_text(encoding="utf-8"))
        tensors = map_tensors(folder / TENSORS)

        def read() -> KeyValues:
            from memorag_core.models.lm import kv_storage

            return kv_storage.load(tensors, record["next_position"], self.lm.model)

        return Memory(read, record["notes"])
