"""MInference's kernel is loaded without its package, and used only where it is there and faster."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
import torch

from memorag_core.models.lm import minference

CUDA = torch.device("cuda")
KERNEL = """
from ..cuda import convert
print("To benefit from fast kernels, install more.")
def vertical_slash_sparse_attention(query, key, value, columns, diagonals):
    return convert(value)
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package laid out as the one that is published."""
    ops = tmp_path / "minference" / "ops"
    ops.mkdir(parents=True)
    (ops.parent / "__init__.py").write_text("import kivi_gemv_that_no_index_has\n", encoding="utf-8")
    (ops.parent / "cuda.py").write_text("def convert(value):\n    return -value\n", encoding="utf-8")
    (ops / "pit_sparse_flash_attention_v2.py").write_text(KERNEL, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))


def given(tokens: int = 8) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    query, key, value = torch.randn(3, 1, 2, tokens, 16, generator=torch.Generator().manual_seed(0))
    return query, key, value


def timed(monkeypatch: pytest.MonkeyPatch, dense: float) -> None:
    """Take a second for sparse attention and `dense` seconds for dense."""
    monkeypatch.setattr(minference, "seconds_of", lambda attention, *_: dense if attention is minference.dense else 1.0)


@pytest.mark.usefixtures("installed")
def test_the_kernel_is_loaded_without_its_package_and_says_nothing_on_standard_output(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(monkeypatch, dense=2.0)
    sparse = minference.sparse_attention(CUDA)
    assert sparse is not None
    assert capsys.readouterr().out == ""
    assert not [name for name in sys.modules if name.startswith("minference")]
    query, key, value = given()
    torch.testing.assert_close(sparse(query, key, value), -value)


@pytest.mark.parametrize("package", [None, "minference"])
def test_without_a_kernel_texts_are_read_densely_and_the_reason_is_told(
    package: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if package:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        monkeypatch.syspath_prepend(str(tmp_path))
    assert minference.sparse_attention(CUDA) is None
    assert "read densely" in caplog.text
    assert "memorag-mcp[gpu]" in caplog.text


@pytest.mark.usefixtures("installed")
def test_where_dense_is_faster_it_is_used_and_told_once_a_length(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    timed(monkeypatch, dense=0.5)
    caplog.set_level(logging.WARNING)
    sparse = minference.sparse_attention(CUDA)
    assert sparse is not None
    for _ in range(3):
        torch.testing.assert_close(sparse(*given()), minference.dense(*given()))
    assert caplog.text.count("read densely") == 1
    sparse(*given(64))
    assert caplog.text.count("read densely") == 2


def test_a_kernel_that_fails_gives_way_to_dense_attention(caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no such architecture")

    torch.testing.assert_close(minference.FasterAttention(broken)(*given()), minference.dense(*given()))
    assert "no such architecture" in caplog.text
