"""One table and one picture of a measured memory model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from memorag_core.errors import require
from memorag_core.training.measure import DEPTHS, Measured

NOTHING = "–"
INCHES = (11.0, 3.6)


def cells(measured: Sequence[Measured]) -> list[list[str]]:
    """The header, then a line a system."""
    header = ["system", "perplexity", "of another text", "needles found", "clue recall"]
    return [header, *([m.system, *_perplexities(m), _share(_mean(m)), _share(m.clues)] for m in measured)]


def as_json(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """A line a system, with every needle."""
    return [
        {
            "system": m.system,
            "perplexity": m.perplexity,
            "perplexity_of_another": m.of_another,
            "needles": [{"tokens": t, "depth": d, "found": share} for (t, d), share in m.needles.items()],
            "clue_recall": m.clues,
        }
        for m in measured
    ]


def draw(measured: Sequence[Measured], place: Path) -> None:
    """Perplexity and clue recall by system, and the needles of the first ratio by depth and length.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    require("matplotlib", "eval")
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, layout="constrained")
    perplexity, needles, clues = figure.subplots(1, 3)
    names = [m.system for m in measured]
    perplexity.barh(names, [m.perplexity for m in measured])
    perplexity.set_title("perplexity of the next window")
    clues.barh(names, [m.clues or 0.0 for m in measured])
    clues.set_title("clue recall")
    for axes in (perplexity, clues):
        axes.invert_yaxis()
    planted = next((m for m in measured if m.needles), None)
    if planted:
        lengths = sorted({length for length, _ in planted.needles})
        grid = np.array([[planted.needles[length, depth] for length in lengths] for depth in DEPTHS])
        needles.imshow(grid, vmin=0, vmax=1, aspect="auto", cmap="RdYlGn")
        needles.set_xticks(range(len(lengths)), [str(length) for length in lengths])
        needles.set_yticks(range(len(DEPTHS)), [str(depth) for depth in DEPTHS])
        needles.set_title(f"needles found, {planted.system}")
        needles.set_xlabel("tokens")
        needles.set_ylabel("depth")
    figure.savefig(place)


def _perplexities(one: Measured) -> list[str]:
    return [NOTHING if value is None else f"{value:.2f}" for value in (one.perplexity, one.of_another)]


def _mean(one: Measured) -> float | None:
    return sum(one.needles.values()) / len(one.needles) if one.needles else None


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"
