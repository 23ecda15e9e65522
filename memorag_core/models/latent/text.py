"""Documents as a decoder reads them: its own tokens around each, and between them the latents of its windows."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from memorag_core.models.latent.encoder import LatentEncoder


@dataclass
class LatentText:
    """The entries of a memory, in order.

    `ids` has for each a token of the decoder, or, of a latent, a number below 0 that tells what it is made of: its
    window up to its last token. `windows` are the encoder's tokens, `begins` where the entries of each window begin,
    `starts` for each document the characters at which its latents begin.
    """

    ratio: int
    ids: list[int] = field(default_factory=list)
    windows: list[list[int]] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)
    starts: list[list[int]] = field(default_factory=list)

    def add(self, text: str, encoder: LatentEncoder) -> None:
        """Append a document, window by window."""
        tokens, offsets = encoder.tokenize(text)
        self.starts.append([])
        for at in range(0, len(tokens), encoder.window):
            window = tokens[at : at + encoder.window]
            self.begins.append(len(self.ids))
            self.windows.append(window)
            self.ids += _digests(window, self.ratio)
            self.starts[-1] += offsets[at : at + len(window)][:: self.ratio]

    @property
    def read(self) -> int:
        """The tokens that latents stand for."""
        return sum(map(len, self.windows))

    def passes(self, start: int, windows: int) -> Iterator[tuple[int, int, range]]:
        """The stretches of entries that are read at once, from `start` on, with the windows that they need.

        They end where every so many windows end, whatever `start` is, so that a pass repeated gives the same.
        """
        for first in range(0, max(1, len(self.windows)), windows):
            needed = range(first, min(first + windows, len(self.windows)))
            last = needed.stop == len(self.windows)
            end = len(self.ids) if last else self._end(needed[-1])
            if end > start:
                yield start, end, range(next((w for w in needed if self._end(w) > start), needed.stop), needed.stop)
                start = end

    def _end(self, window: int) -> int:
        return self.begins[window] + -(-len(self.windows[window]) // self.ratio)


def _digests(window: Sequence[int], ratio: int) -> Iterator[int]:
    digest = blake2b(digest_size=8)
    for at in range(0, len(window), ratio):
        digest.update(array("q", window[at : at + ratio]).tobytes())
        yield -1 - (int.from_bytes(digest.digest()) >> 1)
