"""Tokens that machines share: the file of tokens as an object beside their contexts, followed by a copy here."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memorag_core.config import Settings
from memorag_core.context.leases import hold_lease
from memorag_core.context.versions import open_bucket, tell_failures
from memorag_core.errors import StoreError
from memorag_mcp.http.tokens import Tokens, tokens_file

TOKENS = "tokens"
SECONDS_BETWEEN_LOOKS = 1.0
log = logging.getLogger(__name__)


def open_tokens(settings: Settings, named: Path | None) -> Tokens:
    """Open the tokens of a store: those in its bucket, where it is shared; else in a file.

    Raises:
        StoreError: the bucket cannot be reached.
    """
    path = tokens_file(settings.store, named)
    return SharedTokens(path, settings.shared) if settings.shared else Tokens(path)


class SharedTokens(Tokens):
    """Tokens in a bucket; the file is a copy, which is as the bucket was when it was last looked at."""

    def __init__(self, path: Path, url: str) -> None:
        """Take where the copy is to be, and the bucket. Raises `StoreError` where that cannot be reached."""
        super().__init__(path)
        self._bucket, self._url = open_bucket(url), url
        self._ended = threading.Event()
        self._copy_here()

    def follow(self) -> None:
        """Keep the copy in step from now on, in a thread."""
        threading.Thread(target=self._follow, daemon=True).start()

    def close(self) -> None:
        """Follow no more."""
        self._ended.set()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the tokens alone, over machines, so that of two changes at once none is lost."""
        with hold_lease(self._bucket, self._url, TOKENS), super()._changing(), tell_failures(self._url):
            self._copy_here()
            yield
            self._bucket.put(TOKENS, self.path.read_bytes())

    def _follow(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_LOOKS):
            try:
                self._copy_here()
            except (StoreError, OSError) as error:  # those who had a token keep it until the bucket is back
                log.warning("%s", error)

    def _copy_here(self) -> None:
        """Make the copy what the bucket holds; nothing there means that nobody ever had a token."""
        with tell_failures(self._url):
            try:
                held = bytes(self._bucket.get(TOKENS).bytes())
            except FileNotFoundError:
                self.path.unlink(missing_ok=True)
                return
        if not self.path.is_file() or self.path.read_bytes() != held:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft = self._beside(f"{os.getpid()}.tmp")
            draft.write_bytes(held)
            draft.chmod(0o600)
            os.replace(draft, self.path)
