"""`memorag heads`: finds the retrieval heads of a model, and keeps them for all commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memorag_core.config import Settings
from memorag_core.errors import InputError
from memorag_core.models.known_heads import keep_heads
from memorag_mcp.commands import show
from memorag_mcp.commands.common import open_engine

if TYPE_CHECKING:
    from memorag_core.evaluation.heads import HeadTrial
    from memorag_core.models.lm.language_model import LanguageModel

Model = Annotated[str, typer.Argument(metavar="MODEL", help="The memory model: a hub id or a folder.")]
Labelled = Annotated[list[Path] | None, typer.Argument(metavar="FOLDER", help="Labelled sets; see docs/results.md.")]
Text = Annotated[Path | None, typer.Option(metavar="FILE", help="Or a plain text of some pages, to hide facts in.")]
Most = Annotated[int, typer.Option(min=1, metavar="N", help="At most N questions of each set.")]
Keep = Annotated[int, typer.Option(min=1, max=16, metavar="N", help="At most N heads; each is an index of its own.")]


def heads(
    settings: Settings, model: Model, folders: Labelled = None, text: Text = None, questions: Most = 30, keep: Keep = 3
) -> None:
    """Find which attention heads of a model retrieve, so that clues are recalled by its attention."""
    from memorag_core.evaluation.heads import find_heads

    if not folders and not text:
        raise InputError("Name a folder of labelled questions, or a text of some pages with --text FILE.")
    weights = open_engine(settings).weights
    lm = weights.language_model(model)
    found = find_heads(lm, _trials(lm, folders or [], text, questions), keep)
    path = keep_heads(settings.models_dir, model, weights.revision_here(model), found.heads)
    names = ",".join(f"{layer}:{head}" for layer, head in found.heads)
    show.line(f"{names} find {found.share:.0%} of what answers; kept in {path}")


def _trials(lm: LanguageModel, folders: list[Path], text: Path | None, most: int) -> Iterator[HeadTrial]:
    from itertools import islice

    from memorag_core.evaluation.datasets import read_sets
    from memorag_core.evaluation.heads import trials_of_set, trials_of_text

    for folder in folders:
        for labelled in read_sets(folder):
            yield from islice(trials_of_set(lm, labelled), most)
    if text:
        try:
            yield from islice(trials_of_text(lm, text.read_text(encoding="utf-8")), most)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{text} cannot be read as plain text ({error}). Name another file.") from error
