"""CUDA tensors that hold no numbers, on machines without CUDA: whatever mixes devices, or reads one back, fails.

torch's own subscripts and `copy_` ask for a CUDA device even so; here they are spelled out in operators that do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from transformers import AutoModelForCausalLM

from memorag_core.models.lm.attention import register

ATEN = torch.ops.aten


@contextmanager
def fake_cuda() -> Iterator[FakeTensorMode]:
    """Inside, tensors are fake, and those made with `device="cuda"` are on CUDA as far as anybody can see."""
    torch._C._ensureCUDADeviceGuardSet()
    with FakeTensorMode() as mode, _Subscripts(), torch.inference_mode():
        yield mode


def build_on_meta(config: Any) -> Any:
    """A language model of a configuration, in the half precision of CUDA; outside, for `put_on_cuda`."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation=register()).eval()


def put_on_cuda(model: torch.nn.Module) -> None:
    """Put a model of the device `meta` there; inside."""
    for part in model.modules():
        kinds: list[dict[str, Any]] = [part._parameters, part._buffers]
        for tensors in kinds:
            for name, tensor in tensors.items():
                if tensor is not None:
                    fake = torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")
                    tensors[name] = torch.nn.Parameter(fake, False) if tensors is part._parameters else fake


class _Subscripts(TorchFunctionMode):
    def __torch_function__(
        self, function: Any, _: Sequence[type], given: tuple[Any, ...] = (), named: Mapping[str, Any] | None = None
    ) -> Any:
        others: dict[Any, Callable[..., Any]] = {
            torch.tensor: _make,
            torch.Tensor.__getitem__: _get,
            torch.Tensor.__setitem__: _set,
            torch.Tensor.copy_: ATEN.copy_.default,
            torch.Tensor.__invert__: ATEN.bitwise_not.default,
            torch.Tensor.contiguous: ATEN.contiguous.default,
        }
        return others.get(function, function)(*given, **(named or {}))


def _make(values: Any, dtype: torch.dtype | None = None, device: Any = "cpu") -> torch.Tensor:
    """A tensor of values, which stay unknown there."""
    made = torch.from_numpy(np.array(values))
    wide = torch.float32 if made.dtype == torch.float64 else made.dtype if made.numel() else torch.float32
    return torch.empty(made.shape, dtype=dtype or wide, device=device)


def _get(tensor: torch.Tensor, index: Any) -> torch.Tensor:
    view, places = _take_view(tensor, index)
    found: torch.Tensor = ATEN.index.Tensor(view, places) if places else view
    return found


def _set(tensor: torch.Tensor, index: Any, value: Any) -> None:
    view, places = _take_view(tensor, index)
    if not isinstance(value, torch.Tensor):
        value = torch.full((), value, dtype=tensor.dtype, device=tensor.device)
    if places:
        ATEN.index_put_.default(view, places, value)
    else:
        ATEN.copy_.default(view, value)


def _take_view(tensor: torch.Tensor, index: Any) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
    """The view that numbers, slices and new dimensions make, and the tensors that index dimensions of it."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(part is Ellipsis for part in parts):
        at = next(number for number, part in enumerate(parts) if part is Ellipsis)
        used = sum(part is not None for part in parts) - 1
        parts[at : at + 1] = [slice(None)] * (tensor.dim() - used)
    view, places = tensor, list[torch.Tensor | None]()
    for part in parts:
        dim = len(places)
        if part is None:
            view = view.unsqueeze(dim)
        elif isinstance(part, int):
            view = view.select(dim, part)
            continue
        elif isinstance(part, slice):
            view = ATEN.slice.Tensor(view, dim, part.start, part.stop, part.step or 1)
        else:
            places.append(part if isinstance(part, torch.Tensor) else _make(part, torch.long, tensor.device))
            continue
        places.append(None)
    return view, places if any(place is not None for place in places) else []
