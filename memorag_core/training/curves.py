"""Pictures of a run and of what it made; matplotlib is of the extra `eval`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from memorag_core.errors import require
from memorag_core.training.loop import losses

SMOOTHED = 20
INCHES = (6.4, 4.0)


def draw_losses(out: Path, place: Path) -> None:
    """The loss of every step over the tokens read, and its running mean.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    require("matplotlib", "eval")
    from matplotlib.figure import Figure

    steps = list(losses(out))
    figure = Figure(figsize=INCHES, layout="constrained")
    axes = figure.subplots()
    tokens, loss = [step.tokens for step in steps], [step.loss for step in steps]
    axes.plot(tokens, loss, alpha=0.3)
    width = min(SMOOTHED, len(loss))
    if width:
        axes.plot(tokens[width - 1 :], np.convolve(loss, np.ones(width) / width, "valid"))
    axes.set_xlabel("tokens read")
    axes.set_ylabel("loss, nats a token")
    figure.savefig(place)
