"""Parity: what is computed here is what a CPU computes, and what the original computed."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import parity
from benchmarks.cuda.report import Report
from benchmarks.shapes import checkpoint, tokens
from memorag_core.models.beacon.prefix import BeaconPrefix
from memorag_core.models.beacon.reading import BeaconReading, read
from memorag_core.models.lm.decoding import decode
from memorag_core.models.lm.prefix import Prefix

NEW = 150
"""Enough for rows to fold a window each at a time of its own."""


def compare(report: Report, device: str, fixtures: Sequence[Path]) -> None:
    """A small model in float32 here and on the CPU, row by row and as a batch; and the original's cases."""
    context, prompts = tokens(900, "tiny"), [tokens(count, "tiny", count) for count in (7, 30, 90)]
    largest, same = 0.0, True
    with tempfile.TemporaryDirectory() as name:
        for window, ratio in ((128, 4), (256, 16)):
            folder = checkpoint(Path(name), "tiny", window, ratio)
            models = [parity.loaded(folder, place) for place in ("cpu", device)]
            logits = [BeaconReading(model, len(context)).feed(context).cpu() for model in models]
            largest = max(largest, float((logits[0] - logits[1]).abs().max()))
            prefixes = [BeaconPrefix(model, read(model, context)) for model in models]
            expected, together = (decode(prefix, prompts, NEW) for prefix in prefixes)
            same &= expected == together == [decode(prefixes[1], [prompt], NEW)[0] for prompt in prompts]
            plain = [decode(Prefix(model.model), prompts, NEW) for model in models]
            same &= plain[0] == plain[1]
    told = f"largest difference of a logit {largest:.1e}, ids {'the same' if same else 'OTHERS'}"
    report.check("float32 here is float32 on the CPU", largest <= parity.TOLERANCE and same, told)
    for folder in fixtures:
        report.check(f"parity with the original: {folder}", parity.main([str(folder), "--device", device]) == 0)
