"""Matrices kept in half precision where that loses nothing, multiplied in float32: a CPU's way to read half as much.

Models are published in bfloat16 or float16. Loaded for a CPU they become float32: twice the bytes, all of which
decoding reads at every step, for the same numbers. torch's kernels for half-precision weights (FBGEMM, x86 with AVX2)
widen them in registers and multiply and add in float32; they use AVX-512 where a CPU has it.
"""

from __future__ import annotations

from functools import cache

import torch
from transformers import PreTrainedModel

LOST = 2.0**-25
"""What a weight may differ by: half of the smallest step of float16, far below what float32 sums round off."""
IN_CACHE = 1 << 18
"""So many weights at a time are compared where they fit a core's cache: ten times as fast as all at once."""


class Fp16Linear(torch.nn.Module):
    """What a linear layer computes, from float16 weights; for inference only."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        bias = None if linear.bias is None else linear.bias.detach()
        self.packed = torch.ops.quantized.linear_prepack_fp16(linear.weight.detach(), bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(…, in) to (…, out), float32."""
        out: torch.Tensor = torch.ops.quantized.linear_dynamic_fp16.default(hidden, self.packed)
        return out

    def to_linear(self) -> torch.nn.Linear:
        """The linear layer again."""
        weight, bias = torch.ops.quantized.linear_unpack_fp16(self.packed)
        with torch.device("meta"):
            linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
        tensors = {"weight": weight.float()} | ({} if bias is None else {"bias": bias})
        linear.load_state_dict(tensors, assign=True)
        return linear


def pack(model: torch.nn.Module) -> None:
    """Put `Fp16Linear` in the place of linear layers of a model where `pack_linear` would."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is torch.nn.Linear:
                setattr(parent, name, pack_linear(child))


def pack_linear(linear: torch.nn.Linear) -> torch.nn.Module:
    """Return `Fp16Linear` if the CPU kernel exists and all weights are exact in float16; else `linear` unchanged."""
    return Fp16Linear(linear) if _kernels() and _is_half(linear.weight.detach()) else linear


def unpack(model: PreTrainedModel) -> None:
    """Put linear layers back, for what `Fp16Linear` cannot do: gradients, other devices, saving."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is Fp16Linear:
                setattr(parent, name, child.to_linear())
    model.tie_weights()


def _is_half(weight: torch.Tensor) -> bool:
    if weight.dtype != torch.float32 or weight.device.type != "cpu":
        return False
    rows = max(1, IN_CACHE // weight.shape[1])
    return all(_loses_nothing(part) for part in weight.split(rows))


def _loses_nothing(weight: torch.Tensor) -> bool:
    least, most = torch.aminmax(weight.half().float().sub_(weight))
    return bool(least >= -LOST) and bool(most <= LOST)


@cache
def _kernels() -> bool:
    """Whether this build of torch has the kernels and they compute what they should here."""
    linear = torch.nn.Linear(8, 8)
    given = torch.ones(3, 8)
    expected = given @ linear.weight.detach().half().float().t() + linear.bias.detach()
    try:
        return torch.allclose(Fp16Linear(linear)(given), expected, atol=1e-5)
    except (RuntimeError, AttributeError):
        return False
