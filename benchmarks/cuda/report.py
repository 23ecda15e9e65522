"""Figures beside their floors and bars."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from memorag_core.concurrency.device_memory import release_memory

Y = TypeVar("Y")


@dataclass
class Report:
    """What was printed, as far as the exit status needs it; bars count where they were set, and are shown elsewhere."""

    bars_count: bool
    failures: list[str] = field(default_factory=list)

    def show(
        self, name: str, value: float, unit: str, floor: tuple[float, str] | None = None, bar: float | None = None
    ) -> None:
        """Print a figure, with what the hardware allows and what is asked for.

        Of rates (a unit a second) more is better, of all else less.
        """
        rate = unit.endswith("/s")
        line = f"{name:<58} {value:12,.2f} {unit:<10}"
        if floor:
            least, what = floor
            share = value / least if rate else least / value
            line += f" floor {least:,.2f} ({share:.0%}: {what})"
        if bar is not None:
            met = value >= bar if rate else value <= bar
            line += f" bar {bar:,g}: {'met' if met else 'MISSED'}"
            if not met and self.bars_count:
                self.failures.append(name)
        print(line, flush=True)

    def check(self, name: str, holds: bool, told: str = "") -> None:
        """Print whether something holds."""
        print(f"{name:<58} {'yes' if holds else 'NO'} {told}".rstrip(), flush=True)
        if not holds:
            self.failures.append(name)

    def run(self, name: str, work: Callable[[], Y]) -> Y | None:
        """Do a part; what goes wrong there is told, and the other parts are done all the same."""
        print(f"\n{name}", flush=True)
        started = time.perf_counter()
        try:
            return work()
        except Exception:
            traceback.print_exc()
            self.failures.append(name)
        finally:
            release_memory()
            print(f"({time.perf_counter() - started:.0f} s)", flush=True)
        return None
