"""What a question needs of a language model: less than loading it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memorag_core.config import Head
    from memorag_core.models.lm.language_model import LanguageModel


class QuestionReader(Protocol):
    """Counts and places tokens, and tells what attention heads look for when they read a question.

    A `LanguageModel` is one; `models.compiled.reader` has another, which opens the language model only for all else.
    """

    model_id: str
    revision: str

    @property
    def config(self) -> Any:
        """The model's configuration: layers, heads, key-value heads, `head_dim`."""

    @property
    def window(self) -> int:
        """The longest sequence of which some layer sees all, in tokens."""

    @property
    def whole(self) -> LanguageModel:
        """The language model, loaded now if need be."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special tokens."""

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Where each of its tokens stands in a text."""

    def read_queries(self, text: str, heads: Sequence[Head], position: int) -> NDArray[np.float32]:
        """The queries of (layer, head) pairs of a text that begins at `position`, behind a user's turn's beginning.

        Returns:
            (heads, tokens, head dimension), scaled as attention scales them.
        """
