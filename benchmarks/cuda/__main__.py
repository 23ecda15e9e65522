"""All that is to be shown on a CUDA machine, in one run of at most eight minutes.

Run: python -m benchmarks.cuda [--only PART …]
Elsewhere, to see that it runs: python -m benchmarks.cuda --device cpu --shape tiny

Parts: `same`, parity in float32 (against this machine's CPU, and the original's outputs where their folder is);
`service`, the default profile end to end over HTTP; `shape`, reading, decoding and loading at the 7B shape; `training`;
`neighbours`, who holds the device's memory; `kernels`, with MInference. Each figure stands beside its floor, what the
hardware allows or plain torch reaches, and its bar. What fails in a part is told, and the others go on. Exit status 1
where anything failed, or a bar was missed on CUDA. Against the original's code: benchmarks.against_original.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

import torch

from benchmarks.cuda import kernels, neighbours, same, service, shape, training
from benchmarks.cuda.report import Report
from benchmarks.shapes import SHAPES

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = [place / "parity" for place in (ROOT / "shared", ROOT.parent / "shared")]
PARTS = ("kernels", "same", "service", "shape", "training", "neighbours")


def main() -> int:
    """Run the parts; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cuda", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shape", choices=SHAPES, default="qwen2-7b")
    parser.add_argument("--parity", type=Path, nargs="*", default=[place for place in FIXTURES if place.is_dir()][:1])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    chosen = parser.parse_args()
    device, on_card = chosen.device, chosen.device.startswith("cuda")
    name = torch.cuda.get_device_name() if on_card else "CPU, where bars mean nothing"
    print(f"{name}, torch {torch.__version__}, {chosen.shape}, window {shape.WINDOW}")
    report, started = Report(bars_count=on_card), time.perf_counter()
    rates = report.run("kernels", partial(kernels.measure, report, chosen.shape, device))
    given = service.Given.find() if on_card else service.Given.short()
    works = {
        "same": partial(same.compare, report, device, chosen.parity),
        "service": partial(service.measure, report, device, given, *(() if on_card else (1, (1, 4)))),
        "shape": partial(shape.measure, report, chosen.shape, device, rates) if rates else None,
        "training": partial(training.measure, report, device),
        "neighbours": partial(neighbours.measure, report, device),
        "kernels": partial(kernels.compare_minference, report, chosen.shape, device),
    }
    for part, work in works.items():
        if part in chosen.only and work:
            report.run(part, work)
    told = f"FAILED: {'; '.join(report.failures)}" if report.failures else "Nothing failed."
    print(f"\n{time.perf_counter() - started:.0f} s in all. {told}")
    return 1 if report.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
