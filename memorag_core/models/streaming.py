"""A reply that is passed on while it grows."""

from __future__ import annotations

from memorag_core.types import OnText

UNFINISHED = "\ufffd"  # what a decoder puts for a character of which not all bytes are there


class StreamedText:
    """Passes on what is certain of a reply: its pieces, joined, are the reply without white space around it."""

    def __init__(self, on_text: OnText) -> None:
        """Take the function that is given the pieces."""
        self._told = 0
        self._on_text = on_text

    def reach(self, whole: str) -> None:
        """The reply is now `whole`, whose last character and white space at its end may change yet."""
        self._pass_on(whole.rstrip(UNFINISHED).strip())

    def end(self, whole: str) -> str:
        """The reply is `whole`, and will not change; returns it without white space around it."""
        self._pass_on(whole.strip())
        return whole.strip()

    def _pass_on(self, text: str) -> None:
        if len(text) > self._told:
            self._on_text(text[self._told :])
            self._told = len(text)
