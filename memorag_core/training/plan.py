"""What a training run is: few knobs, checked at once, and part of what a stopped run is recognized by."""

from __future__ import annotations

from dataclasses import dataclass

from memorag_core.errors import InputError

RATIOS = (2, 4, 8, 16, 32)
WINDOW = 2048


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """The choices of a run.

    `batch` rows make a step, over all processes, `at_once` of them pass through a process together; a row has at most
    `windows` windows. `rate` is the highest learning rate, after `warmup` of the steps; it falls to 0 by a cosine.
    `window` and `param` (letters of q, k, v, o) are for a model without beacons; one that has them keeps its own.
    With `recompute`, each window's activations are computed again in the backward pass.
    """

    steps: int
    batch: int = 8
    at_once: int = 1
    windows: int = 4
    window: int = WINDOW
    ratios: tuple[int, ...] = RATIOS
    param: str = "qkv"
    rate: float = 5e-5
    warmup: float = 0.05
    recompute: bool = False
    seed: int = 0
    save_every: int = 100

    def __post_init__(self) -> None:
        """Refuse what cannot be run, with what to do.

        Raises:
            InputError: a number out of range, or a ratio that does not divide the window.
        """
        least = {"steps": 0, "batch": 1, "at_once": 1, "windows": 2, "window": 2, "save_every": 1}
        for name, floor in least.items():
            if getattr(self, name) < floor:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least {floor}.")
        if not self.ratios or any(ratio < 2 or self.window % ratio for ratio in self.ratios):
            raise InputError(
                f"The ratios {self.ratios} cannot be trained at a window of {self.window}: each must be a number from "
                "2 on that divides the window. Choose others with --ratios or --window."
            )
        if not self.param or set(self.param) - set("qkvo"):
            raise InputError(f"param is '{self.param}'; name the projections of beacons by letters of q, k, v and o.")
        if not 0 <= self.warmup < 1 or self.rate <= 0:
            raise InputError(f"A rate of {self.rate} with warm-up {self.warmup} trains nothing: use 5e-5 and 0.05.")
