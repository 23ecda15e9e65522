"""Shows pages of files as they look, from a process that ends some time after it was last asked."""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass
from typing import Any

from memorag_core.ingest.sandbox import SandboxedReader

SECONDS_OF_PATIENCE = 20.0
SECONDS_TO_SHOW = 60.0
MOST_MEMORY = 1 << 30


@dataclass(frozen=True, slots=True)
class PageImage:
    """A page as it looks (WebP), and where on it words stand: boxes of left, top, width and height, as shares of it.

    `words` is what stands in the boxes, by the file's own account.
    """

    image: bytes
    width: int
    height: int
    boxes: tuple[tuple[float, float, float, float], ...]
    words: str


class PageViewer:
    """One process for all who look at pages. Safe between threads."""

    def __init__(self, patience: float = SECONDS_OF_PATIENCE) -> None:
        """Take for how many seconds the process waits for more to do."""
        self._patience = patience
        self._guard = threading.Lock()
        self._reader = SandboxedReader(SECONDS_TO_SHOW, MOST_MEMORY)
        self._ending: threading.Timer | None = None

    def show(
        self, data: bytes, what: str, page: int, width: int, span: tuple[str, int, int], words: str = ""
    ) -> PageImage:
        """Draw a page, from 1, about `width` pixels wide, and find `text[start:end]` on it; `span` is these three.

        `words` are those of pages that are pictures, as in `Extract`.

        Raises:
            InputError: the file or the page cannot be shown.
        """
        text, start, end = span
        answer = self._ask("show", data, what, page=page, width=width, span=(text, start, end), words=words)
        boxes = tuple((left, top, wide, high) for left, top, wide, high in answer["boxes"])
        image = base64.b64decode(answer["image"])
        return PageImage(image, answer["width"], answer["height"], boxes, answer["words"])

    def measure(self, data: bytes, what: str) -> list[tuple[float, float]]:
        """Return width and height of every page. Raises what `show` raises."""
        return [(width, height) for width, height in self._ask("measure", data, what)["sizes"]]

    def close(self) -> None:
        """End the process; the next one who looks starts another."""
        with self._guard:
            self._reader.close()

    def _ask(self, task: str, data: bytes, what: str, **options: Any) -> dict[str, Any]:
        with self._guard:
            if self._ending is not None:
                self._ending.cancel()
            try:
                return self._reader.ask(task, data, what, **options)
            except BaseException:
                self._reader.close()  # it crashed, or is still at what nobody waits for any more
                raise
            finally:
                self._ending = threading.Timer(self._patience, self.close)
                self._ending.daemon = True
                self._ending.start()
