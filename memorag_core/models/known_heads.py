"""The retrieval heads that were found for models on this machine, each for as long as its weights are the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from memorag_core.config import Head
from memorag_core.errors import StoreError

FILE = "heads.json"


def known_heads(models_dir: Path, model: str, revision: Callable[[], str]) -> tuple[Head, ...]:
    """The heads that `keep_heads` was given for these weights; none where there are others, or nothing was kept."""
    kept = _read(models_dir / FILE).get(model)
    if kept is None or kept["revision"] != revision():
        return ()
    return tuple((layer, head) for layer, head in kept["heads"])


def keep_heads(models_dir: Path, model: str, revision: str, heads: Sequence[Head]) -> Path:
    """Keep the heads of a model beside the embedded models; return the file.

    Raises:
        StoreError: it cannot be written.
    """
    path = models_dir / FILE
    kept = _read(path) | {model: {"revision": revision, "heads": [list(head) for head in heads]}}
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        whole = path.with_suffix(".new")
        whole.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        whole.replace(path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror}). Choose another folder: --models-dir."
        ) from error
    return path


def _read(path: Path) -> dict[str, Any]:
    """What is kept; nothing where the file is not there or is damaged, because heads can be found again."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
