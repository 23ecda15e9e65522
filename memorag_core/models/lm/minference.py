"""Sparse attention for reading a long text at once on CUDA: MInference's kernel, and the choice of what it computes.

Jiang et al., MInference 1.0, arXiv 2407.02490: in most heads the last queries tell which columns (tokens all look
at) and which diagonals (distances all look back) carry the attention.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import time
from contextlib import redirect_stdout
from typing import Any

import torch

from memorag_core.errors import InputError
from memorag_core.models.lm.attention import Attention

PACKAGE = "minference"
KERNEL = f"{PACKAGE}.ops.pit_sparse_flash_attention_v2"
LAST = 64
COLUMNS, DIAGONALS = 1000, 6096
FIRST_COLUMNS, FIRST_DIAGONALS = 30, 100
INSTALL = 'To install it: pip install "memorag-mcp[gpu]", where there is a CUDA compiler for this torch.'
log = logging.getLogger(__name__)


def sparse_attention(device: torch.device) -> Attention | None:
    """Attention over a whole text that leaves out what the last queries hardly look at; None without its kernel.

    Raises:
        InputError: on a device that is not CUDA.
    """
    if device.type != "cuda":
        raise InputError(
            f"MInference's kernels need a CUDA device; the model is on {device.type}. Leave out --prefill minference, "
            "or choose --device cuda on a machine that has one."
        )
    try:
        kernel = load_kernel()
    except (ImportError, OSError) as error:
        log.warning("MInference's kernel cannot be loaded (%s), so texts are read densely. %s", error, INSTALL)
        return None
    return FasterAttention(lambda query, key, value: kernel(query, key, value, *find_most_attended(query, key)))


def load_kernel() -> Any:
    """Import the kernel's module alone: its package wants modules that no index has, and prints to standard output.

    Raises:
        ImportError: it is not installed, or not built for this torch.
    """
    known = set(sys.modules)
    try:
        if PACKAGE not in known:
            spec = importlib.util.find_spec(PACKAGE)
            if spec is None:
                raise ModuleNotFoundError(f"no module named '{PACKAGE}'")
            sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)  # its folder, without running it
        with redirect_stdout(sys.stderr):
            return importlib.import_module(KERNEL).vertical_slash_sparse_attention
    finally:
        if PACKAGE not in known:  # who imports the package after us shall get the whole one
            for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
                del sys.modules[name]


class FasterAttention:
    """Sparse attention for the lengths at which it is faster than dense on this card, and dense for all others."""

    def __init__(self, sparse: Attention) -> None:
        self._sparse = sparse
        self._by_length: dict[int, Attention] = {}

    def __call__(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attend, the first time at about this length with both."""
        length = query.shape[2].bit_length()
        if length not in self._by_length:
            self._by_length[length] = self._choose(query, key, value)
        return self._by_length[length](query, key, value)

    def _choose(self, *given: torch.Tensor) -> Attention:
        tokens = given[0].shape[2]
        try:
            sparse, plain = seconds_of(self._sparse, *given), seconds_of(dense, *given)
        except Exception as error:  # kernels are compiled when they are first called, and that fails in many ways
            log.warning("MInference's kernel failed, so texts are read densely: %s", error)
            return dense
        if sparse < plain:
            return self._sparse
        told = "Texts of about %d tokens are read densely: on this card MInference takes %.1f ms a layer, dense %.1f."
        log.warning(told, tokens, sparse * 1e3, plain * 1e3)
        return dense


def dense(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Causal attention to all that comes before."""
    return torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)


def seconds_of(attention: Attention, *given: torch.Tensor) -> float:
    """How long attention takes when it is called the second time; the first may compile it."""
    device = given[0].device
    attention(*given)
    torch.cuda.synchronize(device)
    started = time.perf_counter()
    attention(*given)
    torch.cuda.synchronize(device)
    return time.perf_counter() - started


def find_most_attended(query: torch.Tensor, key: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The columns, and the diagonals as distances, that the last queries attend to most: (1, heads, some) each."""
    tokens, last = key.shape[2], min(LAST, key.shape[2])
    at = torch.arange(tokens - last, tokens, device=key.device)[:, None]
    distance = at - torch.arange(tokens, device=key.device)
    scores = query[:, :, -last:] @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    weights = scores.masked_fill(distance < 0, float("-inf")).softmax(-1, dtype=torch.float32)
    columns = weights.sum(-2)
    columns[..., :FIRST_COLUMNS] = torch.inf
    diagonals = torch.zeros_like(columns)
    diagonals.scatter_add_(-1, distance.clamp(min=0).flatten().expand(*columns.shape[:2], -1), weights.flatten(2))
    diagonals[..., :FIRST_DIAGONALS] = torch.inf
    return (
        columns.topk(min(COLUMNS, tokens)).indices,
        diagonals.topk(min(DIAGONALS, tokens)).indices,
    )
