"""Encoders of texts as unit vectors: folders and hub ids in sentence-transformers' layout.

Most have a transformer, one pooling and normalization. These are run as they are, on a CPU compiled
(`retrieval.compiled_encoder`), because the library takes as long to import as all else together (its training and
evaluation come with it; docs/log.md); all others are run by the library.
"""

from __future__ import annotations

from pathlib import Path

from memorag_core.retrieval.encoder_layout import Encoder, PlainLayout


def open_encoder(source: str | Path, device: str, kept: Path | None = None) -> Encoder:
    """The encoder of a folder or hub id, run here where its layout is the common one.

    On a CPU it is compiled, where it can be; `kept` is the folder for such encoders, without which none is compiled.
    """
    layout = PlainLayout.read(source)
    if layout and kept and device == "cpu":
        from memorag_core.retrieval.compiled_encoder import open_compiled

        if compiled := open_compiled(source, layout, kept):
            return compiled
    from memorag_core.retrieval.torch_encoders import LibraryEncoder, PlainEncoder

    return PlainEncoder(source, layout, device) if layout else LibraryEncoder(source, device)
