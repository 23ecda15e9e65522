"""Norms that torch's kernel computes give what transformers' give, and others stay as they are."""

from __future__ import annotations

import pytest
import torch
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

from memorag_core.models.lm import norms


class ShiftedRMSNorm(Qwen2RMSNorm):
    """One is added to its weights, as in some models."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """As `Qwen2RMSNorm`, and the normed states once more."""
        return super().forward(hidden_states) * (self.weight + 1) / self.weight


@pytest.mark.parametrize(("kind", "fused"), [(Qwen2RMSNorm, True), (ShiftedRMSNorm, False), (Gemma3RMSNorm, False)])
def test_a_norm_is_fused_where_it_gives_the_same(
    monkeypatch: pytest.MonkeyPatch, kind: type[torch.nn.Module], fused: bool
) -> None:
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    torch.manual_seed(0)
    norm = kind(64).bfloat16()
    norm.weight.data = torch.randn(64).bfloat16()
    hidden = torch.randn(2, 5, 64).bfloat16()
    before, wide = norm(hidden), norm(hidden.float())
    norms.fuse_norms(torch.nn.Sequential(norm))
    assert ("forward" in vars(norm)) == fused
    torch.testing.assert_close(norm(hidden), before, atol=2e-2, rtol=2e-2)
    torch.testing.assert_close(norm(hidden.float()), wide)
    assert list(norm.state_dict()) == ["weight"]
    norms.separate_norms(torch.nn.Sequential(norm))
    assert torch.equal(norm(hidden), before)


def test_norms_on_the_cpu_stay_as_they_are() -> None:
    norm = Qwen2RMSNorm(64).bfloat16()
    norms.fuse_norms(norm)
    assert "forward" not in vars(norm)
