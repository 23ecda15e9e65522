"""What the machine and the kernels reach: the floors of everything else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from benchmarks.cuda.report import Report
from benchmarks.shapes import SHAPES, seconds
from memorag_core.models.lm.kernels import attend_causally, attend_fully
from memorag_core.models.lm.minference import dense, find_most_attended, load_kernel

TERA, GIGA = 1e12, 1e9
NEW = 2560
SPARSE = (8192, 32768, 131072)


@dataclass(frozen=True)
class Rates:
    """Operations a second of matrix products and of attention over a memory; bytes a second read, and copied here."""

    products: float
    attention: float
    bandwidth: float
    copies: float


def measure(report: Report, shape: str, device: str) -> Rates:
    """Attention over a memory and within a window beside plain matrix products; reading and copying memory."""
    sizes, on_card = SHAPES[shape], device.startswith("cuda")
    dtype = torch.bfloat16 if on_card else torch.float32
    width, keys = sizes.hidden // sizes.heads, 32768 if on_card else 4096
    query = torch.randn(1, sizes.heads, NEW, width, device=device, dtype=dtype)
    key, value = torch.randn(2, 1, sizes.kv_heads, keys, width, device=device, dtype=dtype)
    left, right = (torch.randn(8192 if on_card else 1024, 8192 if on_card else 1024, device=device, dtype=dtype),) * 2
    scale, flops = width**-0.5, 4 * sizes.heads * width * NEW
    with torch.inference_mode():
        products = 2 * len(left) ** 3 / fastest(lambda: left @ right)
        memory = flops * keys / fastest(lambda: attend_fully(query, key, value, scale))
        window = (key[:, :, :NEW], value[:, :, :NEW])
        causal = flops * NEW / 2 / fastest(lambda: attend_causally(query, *window, scale))
    report.show("matrix products", products / TERA, "TFLOP/s")
    report.show("attention over a memory", memory / TERA, "TFLOP/s", (products / TERA, "matrix products"))
    report.show("attention within a window", causal / TERA, "TFLOP/s", (products / TERA, "matrix products"))
    block = torch.ones(1 << 28 if on_card else 1 << 24, device=device)
    bandwidth = block.nbytes / fastest(block.sum)
    report.show("memory, read", bandwidth / GIGA, "GB/s")
    host = torch.ones(1 << 26, pin_memory=on_card)
    copies = host.nbytes / fastest(lambda: host.to(device, copy=True))
    report.show("copied from the host to the device", copies / GIGA, "GB/s")
    return Rates(products, memory, bandwidth, copies)


def compare_minference(report: Report, shape: str, device: str) -> None:
    """MInference's kernel beside dense attention, at lengths it is made for."""
    if not device.startswith("cuda"):
        print("MInference needs CUDA: left out")
        return
    try:
        kernel = load_kernel()
    except (ImportError, OSError) as error:
        print(f"MInference's kernel cannot be loaded ({error}): left out; texts are read densely")
        return
    sizes = SHAPES[shape]
    for length in SPARSE:
        given = torch.randn(3, 1, sizes.heads, length, sizes.hidden // sizes.heads, device=device, dtype=torch.bfloat16)
        query, key, value = given
        plain = fastest(partial(dense, query, key, value), 3)
        sparse = fastest(partial(_attend_sparsely, kernel, query, key, value), 3)
        report.show(f"MInference, {length:,} tokens, a layer", sparse * 1e3, "ms", (plain * 1e3, "dense"))


def _attend_sparsely(kernel: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    attended: torch.Tensor = kernel(query, key, value, *find_most_attended(query, key))
    return attended


def fastest(call: Callable[[], object], runs: int = 8) -> float:
    """Seconds, the least of some."""
    call()
    return min(seconds(call) for _ in range(runs))
